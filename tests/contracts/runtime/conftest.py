"""The adapters that the runtime suite runs over, and the bench on which each is tried.

A new adapter is one more entry in `ADAPTERS`; the tests stay as they are. What an adapter can't do it declares
absent in its capabilities, and the test of that capability asserts the declaration.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from common.docker import Daemon
from common.images import choose_interpreter
from common.kernel.ids import new_id
from common.ports.runtime import Handle, LaunchSpec, Mount, Observation, Runtime, WorkloadState
from common.runtime.docker import DockerRuntime, DockerSettings
from common.runtime.process import ProcessRuntime
from tests.servers.docker import Docker

ENDED = (WorkloadState.EXITED, WorkloadState.LOST, WorkloadState.GONE)
DEADLINE = 120.0


def process_runtime(home: Path) -> Runtime:
    return ProcessRuntime(home, interpreter=choose_interpreter())


def process(_: pytest.FixtureRequest) -> tuple[Callable[[Path], Runtime], str]:
    return process_runtime, str(choose_interpreter())


def docker(request: pytest.FixtureRequest) -> tuple[Callable[[Path], Runtime], str]:
    engine: Docker = request.getfixturevalue("docker")
    base = engine.base()

    def make(home: Path) -> Runtime:
        return DockerRuntime(
            home, Daemon(engine.url), DockerSettings(base_image=base, roots=(home.parent,), pool=engine.pool)
        )

    return make, "python3"


ADAPTERS = {"process": process, "docker": docker}
"""name → what makes one on a state folder, with the Python that its workloads find."""


class Bench:
    """One runtime under test, with what makes tests short."""

    def __init__(self, make: Callable[[Path], Runtime], python: str, root: Path) -> None:
        self.make, self.python, self.root = make, python, root
        self.runtime = make(root / "state")
        self.wakes: list[str] = []
        self._woken = asyncio.Event()

    async def open(self) -> None:
        self.runtime.on_change(self._wake)
        await self.runtime.start()

    async def restart(self) -> None:
        """As if the platform were stopped and started again."""
        await self.runtime.close()
        self.runtime = self.make(self.root / "state")
        await self.open()

    def _wake(self, workload: str) -> None:
        self.wakes.append(workload)
        self._woken.set()

    def spec(self, *command: str, **fields: Any) -> LaunchSpec:
        defaults: dict[str, Any] = {"workload": new_id("job"), "owner": "user-a"}
        return LaunchSpec(command=command, **(defaults | fields))

    def code(self, source: str, **fields: Any) -> LaunchSpec:
        """A workload that runs this Python source."""
        return self.spec(self.python, "-c", source, **fields)

    def gated(self, source: str, **fields: Any) -> tuple[LaunchSpec, Callable[[], None]]:
        """A workload that runs this Python source once it is let go, and what lets it go."""
        folder = self.folder(f"gate-{len(list(self.root.glob('gate-*')))}")
        wait = "import os, time\nwhile not os.path.exists(os.environ['GATE'] + '/open'): time.sleep(0.01)\n"
        mounts = (Mount("gate", "staged", "GATE", source=folder),)
        return self.code(wait + source, mounts=mounts, **fields), (folder / "open").touch

    async def until(self, handle: Handle, *states: WorkloadState) -> Observation:
        """Observe until it is in one of these states; woken by changes, and by the hour where a hint is missed."""
        async with asyncio.timeout(DEADLINE):
            while (seen := await self.runtime.observe(handle)).state not in states:
                self._woken.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), 0.1)
        return seen

    async def seen(self, handle: Handle) -> Observation:
        """How it stands, once it has begun and whoever runs it can be asked."""
        return await self.until(handle, WorkloadState.RUNNING, *ENDED)

    async def run(self, spec: LaunchSpec) -> tuple[Observation, str]:
        """Launch it, wait for its end, and give that and the log."""
        handle = await self.runtime.launch(spec)
        seen = await self.until(handle, *ENDED)
        return seen, await self.log(handle)

    async def log(self, handle: Handle, offset: int = 0) -> str:
        return b"".join([chunk async for chunk in self.runtime.logs(handle, offset)]).decode()

    async def until_log(self, handle: Handle, text: str) -> str:
        """Wait until the log holds this text."""
        async with asyncio.timeout(DEADLINE):
            while text not in (log := await self.log(handle)):
                await asyncio.sleep(0.01)
        return log

    async def read(self, handle: Handle, mount: str, path: str, offset: int = 0) -> bytes:
        return b"".join([chunk async for chunk in self.runtime.read_output(handle, mount, path, offset)])

    def folder(self, name: str, **files: str) -> Path:
        """A folder such as staging makes: readable by all."""
        path = self.root / name
        path.mkdir(mode=0o755)
        for file, text in files.items():
            (path / file).write_text(text)
        return path

    async def close(self) -> None:
        for handle in await self.runtime.handles():
            await self.runtime.stop(handle, grace=0)
            await self.until(handle, *ENDED)
            await self.runtime.remove(handle)
        await self.runtime.close()


async def clear(runtime: Runtime) -> None:
    """Take away what a runtime keeps beyond its workloads: owners' networks, and the guard of this machine."""
    if isinstance(runtime, DockerRuntime):
        await runtime.give_up()


@pytest.fixture(params=sorted(ADAPTERS))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    make, python = ADAPTERS[request.param](request)
    root = Path(tempfile.mkdtemp(prefix="yard-runtime-"))
    root.chmod(0o711)
    bench = Bench(make, python, root)
    try:
        await bench.open()
        yield bench
        await bench.close()
        await clear(bench.runtime)
    finally:
        shutil.rmtree(root)
