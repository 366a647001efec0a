"""An embedded platform whose workloads are containers of the tests' own Docker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import algo_svc
from common.docker import Daemon
from common.images import DockerEngines
from common.ports.images import EngineSpec
from common.runtime.docker import DockerRuntime
from embedded.commands.control import end_workloads
from tests.servers.docker import Docker
from tests.servers.environment import CACHE
from tests.support import process
from tests.support.process import ENGINE, PlatformProcess


def runtime_url(docker: Docker) -> str:
    """What a service is told."""
    return f"docker:{docker.url}?base={docker.base()}"


def ensure_engine(docker: Docker) -> str:
    """The engine of the presets as an image, built once a Docker. Its name."""
    described = json.loads((Path(algo_svc.__file__).parent / "presets" / "engines.json").read_text())
    wanted = next(one for one in described if one["name"] == ENGINE)
    spec = EngineSpec(wanted["name"], tuple(wanted["requirements"]), wanted["python"])

    async def build() -> str:
        daemon = Daemon(docker.url)
        engines = DockerEngines(CACHE, daemon, base_image=docker.base())
        try:
            status = await engines.ensure(spec)
        finally:
            await daemon.close()
        assert status.image is not None
        return status.image

    return asyncio.run(build())


@contextmanager
def platform(docker: Docker) -> Iterator[PlatformProcess]:
    """A running platform, and nothing of it afterwards: no container, no network, no rule."""
    ensure_engine(docker)
    url = runtime_url(docker)
    with process.platform(YARD_RUNTIME_URL=url) as running:
        try:
            yield running
        finally:
            running.stop()
            asyncio.run(clear(running.home, docker, url))


async def clear(home: Path, docker: Docker, url: str) -> None:
    await end_workloads(home, url)
    runtime = DockerRuntime(home / "run", Daemon(docker.url))
    await runtime.start()
    for handle in await runtime.handles():
        await runtime.remove(handle)
    await runtime.close()
    await runtime.give_up()
