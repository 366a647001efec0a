"""RabbitMQ, with a virtual host for every test."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import time
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

from tests.servers.packages import ensure
from tests.servers.ports import quiet_port
from tests.servers.process import START_SECONDS, Server

USER = "yard"
PASSWORD = "yard"
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
SECONDS_UNTIL_A_NEW_QUEUE_LASTS = 1.2

CONFIGURATION = """
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
management.rates_mode = none
default_user = {user}
default_pass = {password}
disk_free_limit.absolute = 50MB
log.file = false
log.console = true
log.console.level = warning
"""


class RabbitMQ(Server):
    """One broker, with the management plugin."""

    name = "rabbitmq"
    user = "rabbitmq"

    def __init__(self) -> None:
        ensure("rabbitmq-server", lambda: PROGRAM if PROGRAM.exists() else None)
        super().__init__()
        self.port, self.management, self._epmd, self._dist = (quiet_port() for _ in range(4))
        self._made = 0
        self._vhosts: set[str] = set()
        self.write(".erlang.cookie", secrets.token_hex(), 0o400)
        self.write("plugins", "[rabbitmq_management].")
        ports = {"amqp": self.port, "management": self.management, "user": USER, "password": PASSWORD}
        self.write("rabbitmq.conf", CONFIGURATION.format(**ports))

    def close(self) -> None:
        """End it for good and remove what it wrote."""
        super().kill()
        super().close()

    def start(self) -> None:
        """Start it and return when it speaks AMQP and can be managed."""
        environment = self._environment()
        self.spawn(["epmd", "-address", "127.0.0.1", "-port", str(self._epmd)])
        self.spawn([PROGRAM], environment)
        self.wait_until_it_answers()

    def _environment(self) -> dict[str, str]:
        return {
            "RABBITMQ_NODENAME": f"yard{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_MAX_PORTS": "4096",
            "ERL_CRASH_DUMP": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
        }

    def kill(self) -> None:
        """kill -9. RabbitMQ 3.10 writes the name of a new quorum queue to the disk up to a second late; a queue that
        is killed before stays dead for ever. Real queues are made once, so the tests wait for that second."""
        time.sleep(SECONDS_UNTIL_A_NEW_QUEUE_LASTS if self._children else 0)
        super().kill()

    def lose_disk(self) -> None:
        """kill -9, and everything that it ever wrote is gone; returns when it serves again. The virtual hosts are made
        anew, as an operator would."""
        self.kill()
        shutil.rmtree(self.folder / "data")
        self.start()
        for name in self._vhosts:
            self.manage("PUT", f"vhosts/{name}", {})

    def answers(self) -> bool:
        """Whether it speaks AMQP 0-9-1 (§4.2.2: it answers the protocol header with Connection.Start)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as one:
                one.settimeout(1)
                one.sendall(b"AMQP\x00\x00\x09\x01")
                return one.recv(1) == b"\x01"
        except OSError:
            return False

    def url(self, vhost: str, port: int | None = None) -> str:
        """Where a service finds a virtual host; `port` is that of a proxy in between."""
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{port or self.port}/{vhost}"

    def create(self) -> str:
        """A new virtual host; its name."""
        self._made += 1
        name = f"test-{self._made}"
        self.manage("PUT", f"vhosts/{name}", {})
        self._vhosts.add(name)
        return name

    def drop(self, vhost: str) -> None:
        """Remove a virtual host with all that is in it."""
        self.manage("DELETE", f"vhosts/{vhost}")
        self._vhosts.discard(vhost)

    def queue(self, vhost: str, name: str) -> dict[str, Any]:
        """What the management plugin tells of a queue."""
        found: dict[str, Any] = self.manage("GET", f"queues/{vhost}/{quote(name, safe='')}")
        return found

    def shell(self, script: str, **variables: str) -> None:
        """Run a script in the server's folder, in which `rabbitmqctl` speaks to this broker."""
        tools = {"PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
        with (self.folder / "output.log").open("ab") as log:
            child = self._popen(["/bin/sh", "-euc", script], {**self._environment(), **tools, **variables}, log)
        assert child.wait(START_SECONDS) == 0, f"The script failed:\n{self.log_end()}"

    def manage(self, method: str, path: str, body: object = None) -> Any:
        """Ask the management plugin (its HTTP API is documented at /api). It listens a moment after AMQP does."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.management}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
                "Content-Type": "application/json",
            },
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    said = answer.read()
                    return json.loads(said) if said else None
            except HTTPError as error:
                with error:
                    raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
