"""The platform as docker-compose.yml describes it, on the tests' own Docker. Nothing of it stays behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from common.docker import Daemon
from common.runtime.docker import DockerRuntime, DockerSettings
from embedded.commands.control import end_workloads
from tests.compose.context import copied, fresh_environment, put_wheels
from tests.compose.stand_ins import stand_in
from tests.servers.docker import Docker
from tests.servers.packages import ensure
from tests.servers.ports import quiet_port
from tests.support.containers import ensure_engine
from tests.support.process import ADMIN_PASSWORD, Gate, until

READY_SECONDS = 600.0
SECONDS = 900.0
SERVICE = "com.docker.compose.service"

_numbers = itertools.count(1)


def program() -> Path:
    """docker-compose 1.29, which Debian has; installed where it is absent."""
    return ensure("docker-compose", lambda: Path(found) if (found := shutil.which("docker-compose")) else None)


def said_of(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What docker-compose answers in a copy, with these variables and none of the machine's own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [program(), *words],
        cwd=folder,
        env={**kept, "COMPOSE_INTERACTIVE_NO_CLI": "1", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@dataclass
class Composed(Gate):
    """A running project."""

    docker: Docker
    folder: Path
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The folder of workloads on this machine."""
        return self.folder / "home"

    @property
    def address(self) -> str:
        """The gateway's."""
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *words: str, check: bool = True) -> str:
        """Run docker-compose with these words; what it printed. Fails the test where it fails, with what it said."""
        done = said_of(self.folder / "copy", *words, **self.environment)
        if check and done.returncode:
            said = (done.stdout + done.stderr)[-6000:]
            pytest.fail(f"docker-compose {' '.join(words)} failed:\n{said}", pytrace=False)
        return done.stdout

    def up(self, *words: str) -> None:
        """`docker-compose up`, and wait until everybody is ready."""
        self.compose("up", "--detach", *words)
        until(lambda: not self.unready(), READY_SECONDS, lambda: "\n".join(self.unready()), pause=0.5)

    def containers(self, service: str | None = None) -> list[dict[str, Any]]:
        """What Docker knows of the project's containers, or of one service's."""
        labels = [f"com.docker.compose.project={self.environment['COMPOSE_PROJECT_NAME']}"]
        labels += [f"{SERVICE}={service}"] if service else []
        listed = self.docker.ask("GET", f"/containers/json?all=1&filters={quote(json.dumps({'label': labels}))}")[1]
        return [json.loads(self.docker.ask("GET", f"/containers/{one['Id']}/json")[1]) for one in json.loads(listed)]

    def unready(self) -> list[str]:
        """The services of which a container is not ready, and why."""
        found = []
        for one in self.containers():
            state, service = one["State"], one["Config"]["Labels"][SERVICE]
            health = state.get("Health")
            if health is not None and health["Status"] != "healthy":
                last = health["Log"][-1]["Output"] if health["Log"] else ""
                found.append(f"{service}: {health['Status']}, restarted {one['RestartCount']} times: {last}")
            elif health is None and (state["Running"] or state["ExitCode"]):
                found.append(f"{service}: {state['Status']} {state['ExitCode']}")
        return found

    def log_end(self, lines: int) -> str:
        """The ends of all logs, for failures."""
        return self.compose("logs", "--no-color", f"--tail={lines}", check=False)


def variables(docker: Docker, folder: Path, port: int) -> dict[str, str]:
    """What is set here and not elsewhere: names of images, addresses that are free, and a socket of our own."""
    image = stand_in(docker)
    return {
        "DOCKER_HOST": docker.url,
        "COMPOSE_PROJECT_NAME": f"yard{os.getpid()}n{next(_numbers)}",
        "GATEWAY_ADMIN_PASSWORD": ADMIN_PASSWORD,
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "DOCKER_GID": str(docker.socket.stat().st_gid),
        "DOCKER_SOCKET": str(docker.socket),
        "MODELYARD_HOME": str(folder / "home"),
        "WORKLOAD_IMAGE": docker.base(),
        "PYTHON_IMAGE": docker.base(),
        "PIP_NO_INDEX": "1",
        "PLATFORM_NETWORK": f"{docker.subnet}.192",
        "OWNERS_POOL": docker.pool,
        "FILES_URL": "s3://modelyard?endpoint=http://s3:3900&part_copy=no&flat=no",  # rclone
        **dict.fromkeys(("POSTGRES_IMAGE", "RABBITMQ_IMAGE", "S3_IMAGE"), image),
    }


@contextmanager
def composed(docker: Docker) -> Iterator[Composed]:
    """The running platform; its images are built, and stock ones stood in for."""
    ensure_engine(docker)
    folder = Path(tempfile.mkdtemp(prefix="modelyard-compose-"))
    port = quiet_port()
    running = Composed(docker, folder, port, variables(docker, folder, port))
    try:
        put_wheels(copied(folder / "copy"))
        fresh_environment(folder / "copy")
        running.compose("build")
        running.up()
        yield running
    except BaseException:
        print(f"The ends of the logs:\n{running.log_end(40)}")
        raise
    finally:
        running.compose("down", "--volumes", "--remove-orphans", check=False)
        asyncio.run(_clear(running))
        shutil.rmtree(folder)
    assert running.containers() == []


async def _clear(running: Composed) -> None:
    """Workloads outlive the services: take them away, with their owners' networks."""
    await end_workloads(running.home, f"docker:{running.docker.url}?reached_by=gateway")
    settings = DockerSettings(reached_by="gateway")
    runtime = DockerRuntime(running.home / "run", Daemon(running.docker.url), settings)
    await runtime.start()
    for handle in await runtime.handles():
        await runtime.remove(handle)
    await runtime.close()
    await runtime.give_up()
