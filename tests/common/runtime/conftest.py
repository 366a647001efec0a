"""A process runtime on a folder of its own that other users may pass, ended without a trace."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from common.images import choose_interpreter
from common.kernel.clock import Clock
from common.ports.runtime import Handle, LaunchSpec, Observation, WorkloadState
from common.runtime.process import ProcessRuntime
from common.runtime.process.ending import stat_fields

PYTHON = str(choose_interpreter())
WAIT = "import time; print('up', flush=True); time.sleep(600)"


class Yard:
    """A runtime under test."""

    def __init__(self, home: Path, clock: Clock | None = None) -> None:
        self.home = home
        self.runtime = ProcessRuntime(home, interpreter=Path(PYTHON), clock=clock)
        self.woken = asyncio.Event()
        self.runtime.on_change(lambda _: self.woken.set())

    @staticmethod
    def spec(code: str = WAIT, workload: str = "job-1", **fields) -> LaunchSpec:
        return LaunchSpec(workload, "user-a", (PYTHON, "-c", code), **fields)

    def folder(self, workload: str = "job-1") -> Path:
        return self.runtime.workloads / workload

    async def until(self, handle: Handle, *states: WorkloadState) -> Observation:
        async with asyncio.timeout(60):
            while (seen := await self.runtime.observe(handle)).state not in states:
                await asyncio.sleep(0.005)
        return seen

    async def running(self, spec: LaunchSpec) -> Handle:
        handle = await self.runtime.launch(spec)
        await self.until(handle, WorkloadState.RUNNING)
        return handle

    async def close(self) -> None:
        for handle in await self.runtime.handles():
            await self.runtime.stop(handle, grace=0)
            await self.until(handle, WorkloadState.EXITED, WorkloadState.LOST)
            await self.runtime.remove(handle)
        await self.runtime.close()


@pytest.fixture
def home() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="yard-process-"))
    root.chmod(0o711)
    yield root / "runtime"
    end_all(root)
    shutil.rmtree(root)


def end_all(root: Path) -> None:
    """Kill what a failed test left of the workloads beneath `root` (supervisors name it, workloads carry it)."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or another user's
        if os.fsencode(str(root)) in words and int(path.name) != os.getpid():
            os.kill(int(path.name), signal.SIGKILL)


@pytest.fixture
async def yard(home: Path) -> AsyncIterator[Yard]:
    yard = Yard(home)
    await yard.runtime.start()
    yield yard
    await yard.close()


def gone(pid: int) -> bool:
    """Whether that process is dead within half a minute."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        fields = stat_fields(pid)
        if fields is None or fields[0] == b"Z":
            return True
        time.sleep(0.005)
    return False


@pytest.fixture
def sleeper() -> Iterator[int]:
    """A process that has nothing to do with any workload."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
