"""This machine as the one node of an inventory."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from common.inventory import smi
from common.kernel.accelerators import BUILT_IN, Accelerator
from common.kernel.clock import Clock, SystemClock
from common.kernel.errors import Invalid
from common.ports.inventory import Device, Node

_TIMEOUT = 20.0
_SIMULATED = re.compile(r"([a-z][a-z0-9]{0,19}):([0-9]{1,4})(?::([^:,]+))?(?::([0-9]+)\s*GiB)?\Z")

_LABELS = {"os": sys.platform, "arch": platform.machine() or "unknown"}


def parse_simulated(text: str, kinds: Sequence[Accelerator] = BUILT_IN) -> tuple[Device, ...]:
    """Devices that a configuration declares for tests: `gpu:4:A100:80GiB,npu:2` (kind, number, model, memory).

    Raises Invalid (`bad_devices`).
    """
    known = {one.kind: one for one in kinds}
    devices: list[Device] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _SIMULATED.match(part)
        if match is None or match[1] not in known or any(device.kind == match[1] for device in devices):
            raise Invalid(
                "bad_devices",
                f"{part!r} declares no simulated devices; write for example 'gpu:4:A100:80GiB', of the kinds "
                f"{', '.join(known)}.",
            )
        kind, model = match[1], match[3] or f"simulated {match[1]}"
        memory, resource = int(match[4] or 0) * smi.GIB, known[match[1]].resource
        devices += [
            Device(f"{kind}-{number}", kind, model, memory, simulated=True, resource=resource)
            for number in range(int(match[2]))
        ]
    return tuple(devices)


class ToolFailed(Exception):
    """A vendor's tool could not be asked, in words."""


class LocalInventory:
    """The local node: CPU and memory that this process may use, devices by `nvidia-smi` and `npu-smi`.

    A tool that isn't there means no such devices. One that fails says nothing about the devices: those that were seen
    before stay, and `problems` says so. `simulated` devices of a kind stand in place of real ones. Devices are looked
    for again after `keep` seconds.
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
        self.name = name or host_name()
        self.problems: tuple[str, ...] = ()
        self._simulated = tuple(simulated)
        self._clock = clock or SystemClock()
        self._keep = keep
        self._path = path
        self._seen: tuple[float, tuple[Device, ...]] | None = None
        self._looking = asyncio.Lock()

    async def nodes(self) -> Sequence[Node]:
        """This machine."""
        devices = await self.devices()
        return [Node(self.name, float(cpu_count()), memory_bytes(), devices, labels=_LABELS)]

    async def devices(self) -> tuple[Device, ...]:
        """The accelerators of this machine."""
        async with self._looking:
            now = self._clock.monotonic()
            if self._seen is None or now - self._seen[0] >= self._keep:
                self._seen = (now, await self._look())
            return self._seen[1]

    def only_simulated(self) -> LocalInventory:
        """The same with its simulated devices alone: the tools of this machine are not asked."""
        return LocalInventory(self.name, simulated=self._simulated, clock=self._clock, keep=self._keep, path="")

    async def _look(self) -> tuple[Device, ...]:
        kinds = {device.kind for device in self._simulated}
        problems: list[str] = []
        found = list(self._simulated)
        for kind, look in (("gpu", self._nvidia), ("npu", self._ascend)):
            if kind in kinds:
                continue
            try:
                found += await look()
            except ToolFailed as failure:
                before = [device for device in (self._seen[1] if self._seen else ()) if device.kind == kind]
                kept = f"; the {len(before)} that it showed before are kept" if before else ""
                problems.append(f"{failure}{kept}")
                found += before
        self.problems = tuple(problems)
        return tuple(found)

    async def _nvidia(self) -> tuple[Device, ...]:
        status, text = await self._ask(smi.NVIDIA_COMMAND)
        if status and smi.refuses_question(text):
            status, text = await self._ask(smi.NVIDIA_OLD_COMMAND)
        if smi.has_none(text):
            return ()
        _check(smi.NVIDIA_COMMAND, status, text)
        if not smi.has_parts(text):
            return smi.parse_nvidia(text)
        status, parts = await self._ask(smi.NVIDIA_PARTS_COMMAND)
        _check(smi.NVIDIA_PARTS_COMMAND, status, parts)
        return smi.parse_nvidia(text, parts)

    async def _ascend(self) -> tuple[Device, ...]:
        status, text = await self._ask(smi.ASCEND_COMMAND)
        _check(smi.ASCEND_COMMAND, status, text)
        return smi.parse_ascend(text)

    async def _ask(self, command: Sequence[str]) -> tuple[int, str]:
        """Exit status and all that it said; nothing at all where there is no such tool. Raises ToolFailed."""
        tool = shutil.which(command[0], path=self._path)
        if tool is None:
            return 0, ""
        try:
            process = await asyncio.create_subprocess_exec(
                tool,
                *command[1:],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as error:
            raise ToolFailed(f"{command[0]} can't be run: {error}") from error
        try:
            said, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT)
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise ToolFailed(f"{command[0]} didn't answer within {_TIMEOUT:.0f} s") from error
        return process.returncode or 0, said.decode(errors="replace")


def _check(command: Sequence[str], status: int, text: str) -> None:
    if status:
        raise ToolFailed(f"{command[0]} failed: {text.strip()[:300]}")


def host_name() -> str:
    """This host's name as a node's."""
    return node_name(socket.gethostname())


def node_name(host: str) -> str:
    """A host's name as a node's: lower-case letters, digits and '-'."""
    return re.sub(r"[^a-z0-9-]+", "-", host.lower()).strip("-") or "local"


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
