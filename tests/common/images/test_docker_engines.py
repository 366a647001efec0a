"""Engines as images, built by a process that is killed at each step: whoever asks next has the image all the same."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.docker import Daemon
from common.images import DockerEngines
from common.kernel.clock import SystemClock
from common.kernel.errors import Unavailable
from common.ports.images import EngineSpec, EngineState, EngineStatus
from tests.servers.docker import Docker

SPEC = EngineSpec("plain", ())

BUILDER = """
import asyncio, os, signal, sys
from pathlib import Path
from common.docker import Daemon
from common.images import DockerEngines
from common.ports.images import EngineSpec

class Killed(Daemon):
    "Whoever uses it dies at that step."

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

url, root, base, repository, step = sys.argv[1:]
setattr(Killed, step, die)
engines = DockerEngines(Path(root), Killed(url), base_image=base, offline=True, repository=repository)
asyncio.run(engines.ensure(EngineSpec("plain", ())))
"""


class Hasty(SystemClock):
    """Waits a twentieth of what it is told to: whoever is waited for is dead."""

    async def sleep(self, seconds: float) -> None:
        """Wait for a twentieth."""
        await asyncio.sleep(seconds / 20)


@pytest.fixture
async def daemon(docker: Docker) -> AsyncIterator[Daemon]:
    one = Daemon(docker.url)
    yield one
    await one.close()


async def killed(docker: Docker, root: Path, repository: str, step: str) -> None:
    """A builder that got as far as `step`, and no further."""
    arguments = (docker.url, str(root), docker.base(), repository, step)
    builder = await asyncio.create_subprocess_exec(sys.executable, "-c", BUILDER, *arguments)
    assert await builder.wait() == -signal.SIGKILL


async def built(engines: DockerEngines) -> EngineStatus:
    """The engine, asked for again where a build that nobody began had to be cleared away first."""
    try:
        return await engines.ensure(SPEC)
    except Unavailable:
        return await engines.ensure(SPEC)


@pytest.mark.parametrize("step", ["give", "start", "lines", "commit", "delete"])
async def test_kill_9_of_the_builder(docker: Docker, daemon: Daemon, tmp_path: Path, step: str) -> None:
    repository = f"modelyard-test/killed-at-{step}"
    await killed(docker, tmp_path, repository, step)
    engines = DockerEngines(
        tmp_path, daemon, base_image=docker.base(), offline=True, repository=repository, clock=Hasty()
    )
    status = await built(engines)
    assert status.state is EngineState.READY
    assert (
        docker.run_client("run", "--rm", "--network", "none", str(status.image), "python3", "-c", "print(1)") == "1\n"
    )
    assert await daemon.container(engines._name(status.digest)) is None
    await engines.close()
