"""This machine as the one node of an inventory."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from common.inventory.smi import ASCEND_COMMAND, NVIDIA_COMMAND, parse_ascend, parse_nvidia
from common.kernel.clock import Clock, SystemClock
from common.kernel.errors import Invalid
from common.ports.inventory import Device, Node

_TIMEOUT = 20.0
_SIMULATED = re.compile(r"(gpu|npu):(\d{1,4})(?::([^:,]+))?(?::(\d+)\s*GiB)?\Z")
_UNITS_GIB = 1 << 30

Kind = Literal["gpu", "npu"]


def parse_simulated(text: str) -> tuple[Device, ...]:
    """Devices that a configuration declares for tests: `gpu:4:A100:80GiB,npu:2` (kind, number, model, memory).

    Raises Invalid (`bad_devices`).
    """
    devices: list[Device] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _SIMULATED.match(part)
        if match is None or any(device.kind == match[1] for device in devices):
            raise Invalid(
                "bad_devices", f"{part!r} declares no simulated devices; write for example 'gpu:4:A100:80GiB'."
            )
        kind: Kind = "gpu" if match[1] == "gpu" else "npu"
        model, memory = match[3] or f"simulated {kind}", int(match[4] or 0) * _UNITS_GIB
        devices += [Device(f"{kind}-{i}", kind, model, memory, simulated=True) for i in range(int(match[2]))]
    return tuple(devices)


class LocalInventory:
    """The local node: CPU and memory that this process may use, devices by `nvidia-smi` and `npu-smi`.

    A tool that isn't there means no such devices; one that fails too, and says so in `problems`. `simulated`
    devices of a kind stand in place of real ones. Devices are looked for again after `keep` seconds.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        simulated: Sequence[Device] = (),
        clock: Clock | None = None,
        keep: float = 60.0,
        path: str | None = None,
    ) -> None:
        self.name = name or _host_name()
        self.problems: tuple[str, ...] = ()
        self._simulated = tuple(simulated)
        self._clock = clock or SystemClock()
        self._keep = keep
        self._path = path
        self._seen: tuple[float, tuple[Device, ...]] | None = None
        self._looking = asyncio.Lock()

    async def nodes(self) -> Sequence[Node]:
        """This machine."""
        return [Node(self.name, cpu=float(cpu_count()), memory=memory_bytes(), devices=await self._devices())]

    async def _devices(self) -> tuple[Device, ...]:
        async with self._looking:
            now = self._clock.monotonic()
            if self._seen is None or now - self._seen[0] >= self._keep:
                self._seen = (now, await self._look())
            return self._seen[1]

    async def _look(self) -> tuple[Device, ...]:
        kinds = {device.kind for device in self._simulated}
        problems: list[str] = []
        found = list(self._simulated)
        if "gpu" not in kinds:
            found += await self._ask(NVIDIA_COMMAND, parse_nvidia, problems)
        if "npu" not in kinds:
            found += await self._ask(ASCEND_COMMAND, parse_ascend, problems)
        self.problems = tuple(problems)
        return tuple(found)

    async def _ask(
        self, command: Sequence[str], parse: Callable[[str], tuple[Device, ...]], problems: list[str]
    ) -> tuple[Device, ...]:
        tool = shutil.which(command[0], path=self._path)
        if tool is None:
            return ()
        process = await asyncio.create_subprocess_exec(
            tool,
            *command[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()
            problems.append(f"{command[0]} didn't answer within {_TIMEOUT:.0f} s")
            return ()
        text = said.decode(errors="replace")
        if process.returncode:
            problems.append(f"{command[0]} failed: {text.strip()[:300]}")
            return ()
        return parse(text)


def _host_name() -> str:
    """The host's name as a node's: lower-case letters, digits and '-'."""
    return re.sub(r"[^a-z0-9-]+", "-", socket.gethostname().lower()).strip("-") or "local"


def cpu_count() -> int:
    """The cores on which this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes(meminfo: Path = Path("/proc/meminfo"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of memory that this process may use: the machine's, or its container's limit where that is less."""
    if meminfo.exists():
        lines = meminfo.read_text().splitlines()
        total = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:")) * 1024
    else:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in (cgroups / "memory.max", cgroups / "memory" / "memory.limit_in_bytes"):
        limit = file.read_text().strip() if file.exists() else ""
        if limit.isdigit():
            total = min(total, int(limit))
    return total
