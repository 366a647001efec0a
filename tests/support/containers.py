"""A platform whose workloads are containers of the tests' own Docker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import algo_svc
from common.docker import Daemon
from common.images import DockerEngines
from common.ports.images import EngineSpec
from common.runtime.docker import DockerRuntime
from embedded.commands.control import end_workloads
from tests.servers.docker import Docker
from tests.servers.environment import CACHE
from tests.support.process import ENGINE


def runtime_url(docker: Docker) -> str:
    """What a service is told."""
    return f"docker:{docker.url}?base={docker.base()}&pool={docker.pool}"


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


async def clear(home: Path, docker: Docker, url: str) -> None:
    """Leave nothing of a platform that has ended: no container, no network, no rule."""
    await end_workloads(home, url)
    runtime = DockerRuntime(home / "run", Daemon(docker.url))
    await runtime.start()
    for handle in await runtime.handles():
        await runtime.remove(handle)
    await runtime.close()
    await runtime.give_up()
