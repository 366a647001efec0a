"""A bench with the docker: runtime alone, for what no other runtime has."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.docker import Daemon
from common.runtime.docker import DockerRuntime, DockerSettings
from tests.contracts.runtime.conftest import Bench, clear
from tests.servers.docker import Docker


@pytest.fixture
async def bench(docker: Docker) -> AsyncIterator[Bench]:
    root = Path(tempfile.mkdtemp(prefix="yard-docker-"))
    root.chmod(0o711)
    settings = DockerSettings(base_image=docker.base(), roots=(root,), pool=docker.pool, temporary_bytes=64 << 20)
    bench = Bench(lambda home: DockerRuntime(home, Daemon(docker.url, patience=60), settings), "python3", root)
    try:
        await bench.open()
        yield bench
        await bench.close()
        await clear(bench.runtime)
    finally:
        shutil.rmtree(root)
