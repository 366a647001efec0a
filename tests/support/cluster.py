"""Every service in a process of its own, on a real broker, database server and S3 server, as on a server.

It is used like a `PlatformProcess`; besides, each service can be killed and started again, and have more instances.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from common.web.identity import Principal, open_signer
from embedded.commands.control import end_workloads
from tests.servers.ports import quiet_port
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import BUCKET, S3Server
from tests.support.process import (
    ADMIN_PASSWORD,
    START_SECONDS,
    STOP_SECONDS,
    Gate,
    engine_cache,
    settled_left_over,
    until,
)

BEHIND = ("dataset-svc", "algo-svc", "train-svc", "notebook-svc", "serving-svc")
SERVICES = (*BEHIND, "gateway")
DATABASES = (*SERVICES, "train-svc-metrics")

_numbers = itertools.count(1)


@dataclass
class Member:
    """One instance of a service. It listens on the same ports in all its lives."""

    service: str
    home: Path
    environment: dict[str, str]
    port: int = field(default_factory=quiet_port)
    operator: int = field(default_factory=quiet_port)
    number: int = 0
    besides: dict[str, str] = field(default_factory=dict)
    """What only this one has in its environment."""
    _child: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process of its present life."""
        assert self._child is not None
        return self._child.pid

    @property
    def runs(self) -> bool:
        """Whether it was launched, and not ended by us."""
        return self._child is not None

    @property
    def log(self) -> Path:
        """What it prints, in all its lives."""
        return self.home / f"{self.service}-{self.number}.log"

    def launch(self) -> None:
        """Start its process, and don't wait for it."""
        assert self._child is None, f"{self.service} runs already"
        own = {"YARD_PORT": str(self.port), "YARD_OPERATOR_PORT": str(self.operator)}
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", self.service.replace("-", "_")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment | self.besides | own,
                cwd=self.home,
                start_new_session=True,
            )

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Return when it can do its work."""
        until(self.is_ready, seconds, lambda: f"{self.service} is not ready:\n{self.log_end()}", pause=0.05)

    def is_ready(self) -> bool:
        """Whether it says so; fails where it has ended."""
        assert self._child is not None
        if self._child.poll() is not None:
            raise AssertionError(f"{self.service} ended with {self._child.returncode}:\n{self.log_end()}")
        return self.ask("/readyz")[0] == 200

    def ask(self, path: str, *, operator: bool = False) -> tuple[int, str]:
        """Status and body of what is at `path`; 0 where nobody answers."""
        place = f"http://127.0.0.1:{self.operator}" if operator else self.address
        try:
            with urllib.request.urlopen(place + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def stop(self) -> int:
        """End it politely; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9, whatever it does at this moment."""
        self._end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def _end(self, number: signal.Signals) -> int:
        if self._child is None:
            return 0
        self._child.send_signal(number)
        code = self._child.wait(STOP_SECONDS)
        self._child = None
        return code

    def log_end(self, lines: int = 15) -> str:
        """The end of its log, for failures."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""


@dataclass
class Cluster(Gate):
    """The services on `home`, one instance of each unless more are added."""

    home: Path
    environment: dict[str, str]
    postgres: Postgres
    name: str
    members: dict[str, list[Member]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The gateway's."""
        return self.members["gateway"][0].address

    def add(self, service: str) -> Member:
        """One more instance, which is not started yet."""
        there = self.members.setdefault(service, [])
        there.append(Member(service, self.home, self.environment, number=len(there)))
        return there[-1]

    def member(self, service: str, number: int = 0) -> Member:
        """An instance of a service."""
        return self.members[service][number]

    def rows(self, service: str, query: str) -> list[tuple[Any, ...]]:
        """Rows of a service's own database, read beside it."""
        database = f"{self.name}_{service.replace('-', '_')}"
        return asyncio.run(self.postgres.fetch(query, database=database))

    def keepers(self) -> list[str]:
        """The services that have an outbox."""
        query = "SELECT 1 FROM pg_tables WHERE tablename = 'outbox'"
        return [service for service in self.members if self.rows(service, query)]

    def client_of(self, member: Member, name: str = "admin") -> httpx2.Client:
        """Speaks to one instance, past the gateway, as an administrator."""
        keys = self.home / "keys"
        signer = open_signer("gateway", keys / "private", keys / "public")
        token = signer.sign(Principal(name, "admin", name))
        return httpx2.Client(
            base_url=f"{member.address}/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    @property
    def everyone(self) -> list[Member]:
        """Every instance."""
        return [one for there in self.members.values() for one in there]

    def start(self, *services: str) -> None:
        """Start these, or all, and wait until they can do their work."""
        chosen = [one for one in self.everyone if not services or one.service in services]
        for one in chosen:
            one.launch()
        for one in chosen:
            one.wait_until_ready()

    def start_again(self) -> None:
        """Start whatever a test that failed left ended."""
        ended = [one for one in self.everyone if not one.runs]
        for one in ended:
            one.launch()
        for one in ended:
            one.wait_until_ready()

    def close(self) -> list[str]:
        """Stop them and all that they run; gives the processes that were left over nevertheless."""
        for one in self.everyone:
            try:
                one.stop()
            except subprocess.TimeoutExpired:
                one.kill()
        asyncio.run(end_workloads(self.home))
        left = settled_left_over(self.home)
        shutil.rmtree(self.home)
        return left

    def log_end(self, lines: int = 15) -> str:
        """The ends of all logs, for failures."""
        return "\n".join(f"--- {one.service} {one.number}\n{one.log_end(lines)}" for one in self.everyone)


@dataclass(frozen=True)
class Ports:
    """Ports of proxies in between, where there are some."""

    database: int | None = None
    bus: int | None = None
    files: int | None = None


@contextmanager
def cluster(
    rabbitmq: RabbitMQ,
    postgres: Postgres,
    s3: S3Server,
    *services: str,
    through: Ports = Ports(),
    start: bool = True,
    **environment: str,
) -> Iterator[Cluster]:
    """A running cluster of these services, or all six, with databases, virtual host and objects of its own."""
    name = f"cluster_{os.getpid()}_{next(_numbers)}"
    home = Path(tempfile.mkdtemp(prefix="modelyard-cluster-"))
    home.chmod(0o711)
    vhost = rabbitmq.create()
    databases = [f"{name}_{one.replace('-', '_')}" for one in DATABASES]
    asyncio.run(postgres.execute(*(f'CREATE DATABASE "{one}"' for one in databases)))
    chosen = services or SERVICES
    whole = Cluster(home, {}, postgres, name)
    for service in chosen:
        whole.add(service)
    addresses = ", ".join(f'"{one.service}": "{one.address}"' for one in whole.everyone)
    quirks = "" if s3.part_copy else "&part_copy=no&flat=no"
    ours = {
        "YARD_HOME": str(home),
        "YARD_ENGINE_CACHE": str(engine_cache()),
        "YARD_DATABASE_URL": postgres.url(f"{name}_{{service}}", through.database),
        "YARD_BUS_URL": rabbitmq.url(vhost, through.bus),
        "YARD_FILES_URL": f"s3://{BUCKET}/{name}?endpoint=http://127.0.0.1:{through.files or s3.port}{quirks}",
        "YARD_S3_KEY": s3.key,
        "YARD_S3_SECRET": s3.secret,
        "YARD_SERVICES": f"{{{addresses}}}",
        "GATEWAY_ADMIN_PASSWORD": ADMIN_PASSWORD,
    }
    whole.environment.update(ours | environment)
    try:
        if start:
            whole.start()
        yield whole
    except BaseException:
        print(f"The ends of the logs:\n{whole.log_end(30)}")
        raise
    finally:
        left = whole.close()
        asyncio.run(postgres.execute(*(f'DROP DATABASE "{one}" WITH (FORCE)' for one in databases)))
        rabbitmq.drop(vhost)
    assert not left, f"still running: {left}"
