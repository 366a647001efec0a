"""How a workload stands, from its folder and /proc; and the end of one whose supervisor died without a word."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from common.kernel.clock import Clock
from common.ports.runtime import Observation, Usage, WorkloadState
from common.runtime.process import ending, processes
from common.runtime.process.folder import Folder
from common.runtime.process.folders import Folders
from common.runtime.process.watch import Watcher

PATIENCE = 10.0
"""Seconds that a supervisor may take from being spawned to its first word."""

Record = dict[str, Any]


class Observer:
    """Reads workload folders; `watcher` knows which supervisors this process saw alive."""

    def __init__(self, folders: Folders, watcher: Watcher, clock: Clock) -> None:
        self._folders = folders
        self._watcher = watcher
        self._clock = clock
        self._waiting: dict[str, float] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def observe(self, folder: Folder) -> Observation:
        """How it stands; `unknown` with the reason where its records can't be read."""
        try:
            settled = self._folders.settled(folder)
            if settled is None:
                return self._absent(folder)
            if record := folder.read("exit.json"):
                return self._ended(folder, settled, record)
            started, running = folder.read("started"), folder.read("running")
            if self._may_live(folder, started):
                return _living(settled, running)
            return await self._find_end(folder, settled)
        except (OSError, ValueError) as error:
            return Observation(WorkloadState.UNKNOWN, detail=f"its records can't be read: {error}")

    def _absent(self, folder: Folder) -> Observation:
        if folder.path.parent.is_dir():
            return Observation(WorkloadState.GONE)
        return Observation(WorkloadState.UNKNOWN, detail=f"{folder.path.parent} isn't there at present")

    def _may_live(self, folder: Folder, started: Record | None) -> bool:
        if started is not None:
            return processes.alive(started)
        if self._watcher.watches(folder.workload):
            return True
        now = self._clock.monotonic()
        return now - self._waiting.setdefault(folder.workload, now) < PATIENCE

    async def _find_end(self, folder: Folder, settled: Record) -> Observation:
        """No supervisor is to be seen: it has just written the end, or it died and takes the workload with it."""
        lock = self._locks.setdefault(folder.workload, asyncio.Lock())
        async with lock:
            if not (record := folder.read("exit.json")):
                record = await asyncio.to_thread(lose, folder, settled)
        if record is None:
            return Observation(WorkloadState.UNKNOWN, detail="its supervisor can't be seen, but holds its lock")
        return self._ended(folder, settled, record)

    def _ended(self, folder: Folder, settled: Record, record: Record) -> Observation:
        self._waiting.pop(folder.workload, None)
        self._locks.pop(folder.workload, None)
        running = folder.read("running")
        lost = record["cause"] == "lost"
        used = record["usage"]
        return Observation(
            WorkloadState.LOST if lost else WorkloadState.EXITED,
            started_at=_hour(running),
            ended_at=datetime.fromtimestamp(record["ended_at"], UTC),
            exit_code=record["exit_code"],
            cause=None if lost else record["cause"],
            detail=record["detail"],
            address=_address(settled),
            usage=Usage(used["cpu_seconds"], used["peak_memory"]),
        )


def _living(settled: Record, running: Record | None) -> Observation:
    if running is None:
        return Observation(WorkloadState.STARTING, address=_address(settled))
    return Observation(
        WorkloadState.RUNNING,
        started_at=_hour(running),
        address=_address(settled),
        usage=Usage(*processes.usage(running)),
    )


def _hour(record: Record | None) -> datetime | None:
    return None if record is None else datetime.fromtimestamp(record["at"], UTC)


def _address(settled: Record) -> str | None:
    return f"http://127.0.0.1:{settled['port']}" if settled["port"] else None


def ended(cause: str, detail: str) -> Record:
    """A record of an end that no supervisor saw."""
    usage = {"cpu_seconds": 0.0, "peak_memory": 0}
    return {"cause": cause, "detail": detail, "exit_code": None, "ended_at": time.time(), "usage": usage}


def lose(folder: Folder, settled: Record) -> Record | None:
    """Kill what the dead supervisor left and write the workload off, so that it can't start any more.

    None where a supervisor holds the lock after all, or something of the workload can't be killed yet.
    """
    with folder.alone() as alone:
        if not alone:
            return None
        if record := folder.read("exit.json"):
            return record
        if not processes.kill_all(folder.path, settled["groups"], folder.read("running")):
            return None
        for group in settled["groups"]:
            ending.drop_group(group)
        stopped = folder.has("stop") and not folder.has("started")
        record = ended("stopped", "it was stopped before it started") if stopped else ended("lost", LOST)
        folder.record("exit.json", record)
    return record


LOST = "its supervisor ended without a word; what was left of the workload was killed"
