"""The adapter itself: launch, observe, stop and the rest, over workload folders and their supervisors."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from common.kernel.accelerators import BUILT_IN, Accelerator
from common.kernel.clock import Clock, SystemClock
from common.kernel.errors import Conflict, NotFound, Problem, Unavailable
from common.ports.runtime import Handle, LaunchSpec, Observation, Output, RuntimeCapabilities, WorkloadState
from common.runtime.notice import leave_notice
from common.runtime.process import cgroups, outputs, processes
from common.runtime.process.cgroups import ControlGroups
from common.runtime.process.folder import Folder
from common.runtime.process.folders import Folders, undo
from common.runtime.process.forking import Born, Forker
from common.runtime.process.observing import Observer, ended
from common.runtime.process.owners import Owners, Ways, why_no_own_uid
from common.runtime.process.plan import LaunchFailed, Planner, Settled, launch_words
from common.runtime.process.ports import free_port
from common.runtime.process.spawn import base_interpreter, install, spawn_supervisor
from common.runtime.process.watch import Watcher


class ProcessRuntime:
    """Workloads as processes of this machine, kept beneath `home`.

    `interpreter` is the Python from which engines are built: owners get users of their own only where such users
    can run it. `grace` is what a workload has, in seconds, between the end of its time limit and being killed. `kinds`
    are the accelerators there may be.
    """

    def __init__(
        self,
        home: Path,
        *,
        clock: Clock | None = None,
        interpreter: Path | None = None,
        grace: float = 10.0,
        kinds: Sequence[Accelerator] = BUILT_IN,
    ) -> None:
        self._folders = Folders(home)
        self.home = self._folders.home
        self.workloads = self._folders.workloads
        self.volumes = self._folders.volumes
        self.capabilities = RuntimeCapabilities()
        self.notes: list[str] = []
        self._interpreter = interpreter or base_interpreter()
        self._grace = grace
        self._kinds = tuple(kinds)
        self._ways = Ways()
        self._owners = Owners(self.home)
        self._groups = ControlGroups(self.home, {})
        self._watcher = Watcher()
        self._observer = Observer(self._folders, self._watcher, clock or SystemClock())
        self._ports: dict[str, int] = {}
        self._program: Path | None = None
        self._forker = Forker(None)

    async def start(self) -> None:
        """Find out what can be enforced here, then find again what is running and watch it.

        Raises Unavailable (`runtime_unsupported`) on another system than Linux.
        """
        if not sys.platform.startswith("linux"):
            raise Unavailable("runtime_unsupported", "The process: runtime needs Linux; use docker: here.")
        await asyncio.to_thread(self._prepare)
        for workload in self._folders.known():
            self._adopt(self._folders.of(workload))

    def _prepare(self) -> None:
        self._folders.make()
        why = why_no_own_uid(self.home, self._interpreter)
        self._groups = cgroups.probe(self.home)
        self._program = install(self.home)
        self._forker = Forker(self._program)
        self.capabilities = RuntimeCapabilities(
            memory_limit=self._groups.has("memory"),
            pids_limit=self._groups.has("pids") or not why,
            cpu_limit=self._groups.has("cpu"),
            own_uid=not why,
            read_only_mounts=not why,
            gangs=True,
        )
        self.notes = [*([why] if why else []), *self._missing()]
        self._groups.sweep(set(self._folders.known()))
        self._folders.clear_away()

    def _missing(self) -> list[str]:
        names = {"memory_limit": "memory", "pids_limit": "the number of processes", "cpu_limit": "CPU time"}
        lacking = [words for name, words in names.items() if not getattr(self.capabilities, name)]
        notes = ["Workloads share this machine's network, and can reach what it can reach."]
        if lacking:
            notes.append(f"Limits on {', '.join(lacking)} aren't enforced: no control group can be made here.")
        return notes

    def _adopt(self, folder: Folder) -> None:
        """Watch what runs; a record that can't be read is left to `observe`, which says so."""
        try:
            settled, started = folder.read("spec.json"), folder.read("started")
            ended = folder.has("exit.json")
        except (OSError, ValueError):
            return
        if ended or settled is None:
            return
        if settled["port"]:
            self._ports[folder.workload] = settled["port"]
        if started and processes.alive(started):
            self._watcher.watch_end(folder.workload, int(started["pid"]))

    async def launch(self, spec: LaunchSpec) -> Handle:
        """Start it; give its handle. Launching the same workload again gives the same handle and starts nothing.

        Raises LaunchFailed, and Invalid (`bad_environment`, `bad_command`, `bad_mount`, `bad_workload`).
        """
        if self._program is None:
            raise RuntimeError("ProcessRuntime.start() comes before launch()")
        folder = self._folders.of(spec.workload)
        try:
            if not self._is_launched(folder):
                self.prepare(spec)
                await self._spawn(folder)
        except OSError as error:
            undo(folder)
            full = {"cause": "storage_full"} if error.errno in (errno.ENOSPC, errno.EDQUOT) else {}
            raise LaunchFailed(f"{folder.path}: {error.strerror}. Nothing was started.", **full) from error
        except Problem:
            undo(folder)
            raise
        return self._handle(folder)

    async def meeting(self, workload: str) -> str:
        """A free port of this machine, where all members run. Raises Unavailable (`no_port`)."""
        self._ports[workload] = port = free_port(self._ports.values())
        return f"127.0.0.1:{port}"

    def _is_launched(self, folder: Folder) -> bool:
        """Whether a supervisor has it, or had: then nothing more is to be done, and nothing may be."""
        if not folder.has("spec.json"):
            return False
        return folder.has("started") or folder.has("exit.json") or self._watcher.watches(folder.workload)

    def prepare(self, spec: LaunchSpec) -> Path:
        """Make the workload's folder with all that its supervisor needs, without starting it."""
        folder = self._folders.of(spec.workload)
        settled = folder.read("spec.json")
        if settled is None:
            with self._folders.at_work():
                settled = folder.settle(self._settle(spec, folder))
        if settled["port"]:
            self._ports[spec.workload] = settled["port"]
        folder.prepare(launch_words(settled))
        return folder.path

    def _settle(self, spec: LaunchSpec, folder: Folder) -> Settled:
        uid = self._owners.uid(spec.owner) if self.capabilities.own_uid else 0
        planner = Planner(spec, folder.path, self.volumes, uid, self._kinds, self._ways.blocked)
        planner.check()
        port = free_port(self._ports.values()) if spec.port else None
        nproc = spec.limits.pids if uid and not self._groups.has("pids") else 0
        folder.path.mkdir(mode=0o711, exist_ok=True)
        return planner.settle(port, self._groups.plan(spec.workload, spec.limits), nproc, self._grace)

    def spawn_supervisor(self, folder: Path) -> tuple[int, int]:
        """Start the supervisor of a prepared folder and nothing else: its pid, and a pipe that closes when the
        workload runs. For measuring; `launch` is the way to start a workload."""
        if self._program is None:
            raise RuntimeError("ProcessRuntime.start() comes before spawn_supervisor()")
        return spawn_supervisor(self._program, folder)

    async def _spawn(self, folder: Folder) -> None:
        """By the forker, or without it where there is none yet: two supervisors of one folder are one too many for its
        lock, so nothing is lost where it is unknown whether the forker forked."""
        born = await self._forker.fork(folder.path)
        if born is None:
            pid, pipe = self.spawn_supervisor(folder.path)
            born = Born(pid, None, pipe)
        self._watcher.watch_end(folder.workload, born.pid, born.own)
        self._watcher.watch_start(folder.workload, born.pipe)

    def _handle(self, folder: Folder) -> Handle:
        return {"runtime": "process", "workload": folder.workload, "dir": str(folder.path)}

    def _folder(self, handle: Handle) -> Folder:
        return self._folders.of(str(handle["workload"]))

    async def observe(self, handle: Handle) -> Observation:
        """How it stands now, from its folder and /proc. A workload without a supervisor is killed and `lost`."""
        folder = self._folder(handle)
        seen = await self._observer.observe(folder)
        if seen.state in (WorkloadState.EXITED, WorkloadState.LOST, WorkloadState.GONE):
            self._ports.pop(folder.workload, None)
        return seen

    async def stop(self, handle: Handle, grace: float = 10.0, notice: str = "") -> None:
        """Ask it to end, and have what is left killed after `grace` seconds. Remembered, also before it started."""
        folder = self._folder(handle)
        if not folder.has("spec.json") or folder.has("exit.json"):
            return
        if notice:
            leave_notice(folder.path, notice, grace)
        _request_stop(folder, grace)
        started = folder.read("started")
        if started:
            processes.send(started, signal.SIGTERM)
        elif not self._watcher.watches(folder.workload):
            with folder.alone() as alone:
                if alone and not folder.has("started"):
                    folder.record("exit.json", ended("stopped", "it was stopped before it started"))

    async def logs(self, handle: Handle, offset: int = 0) -> AsyncIterator[bytes]:
        """What it has written from byte `offset` on; nothing where it is gone."""
        try:
            fd = os.open(self._folder(handle).file("log"), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        async for chunk in outputs.chunks(fd, offset):
            yield chunk

    async def outputs(self, handle: Handle, mount: str) -> Sequence[Output]:
        """The regular files in a scratch mount. Raises NotFound (`mount_not_found`) where it has no such mount."""
        return await asyncio.to_thread(outputs.list_outputs, self._scratch(handle, mount))

    async def read_output(self, handle: Handle, mount: str, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes of one such file from `offset` on. Raises NotFound (`output_not_found`, `mount_not_found`)."""
        fd = outputs.open_output(self._scratch(handle, mount), path)
        async for chunk in outputs.chunks(fd, offset):
            yield chunk

    def _scratch(self, handle: Handle, mount: str) -> Path:
        settled = self._folders.settled(self._folder(handle)) or {"mounts": {}}
        found: dict[str, Any] | None = settled["mounts"].get(mount)
        if found is None or found["kind"] != "scratch":
            raise NotFound("mount_not_found", f"{handle['workload']} has no outputs called {mount!r}.")
        return Path(found["path"])

    async def remove(self, handle: Handle) -> None:
        """Forget an ended workload and free its folder. Raises Conflict (`workload_running`)."""
        folder = self._folder(handle)
        seen = await self.observe(handle)
        if seen.state is WorkloadState.GONE:
            return
        if seen.state not in (WorkloadState.EXITED, WorkloadState.LOST):
            raise Conflict("workload_running", f"{folder.workload} is {seen.state}: stop it first.")
        await asyncio.to_thread(self._folders.remove, folder)

    async def handles(self) -> Sequence[Handle]:
        """Every workload that has a folder here."""
        return [self._handle(self._folders.of(workload)) for workload in self._folders.known()]

    def on_change(self, wake: Callable[[str], None]) -> None:
        """Call `wake(workload id)` in the event loop soon after a workload started or ended."""
        self._watcher.on_change(wake)

    async def close(self) -> None:
        """Stop watching; workloads go on."""
        self._watcher.close()
        await self._forker.close()


def _request_stop(folder: Folder, grace: float) -> None:
    """Leave the request where the supervisor finds it; a later one stands in the place of the first."""
    if folder.has("stop"):
        folder.amend("stop", grace)
    else:
        folder.record("stop", grace)
