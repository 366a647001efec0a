"""The adapter itself: launch, observe, stop and the rest, over containers and their folders."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.docker import Daemon, Refused
from common.kernel.errors import Conflict, NotFound, Unavailable
from common.ports.runtime import Handle, LaunchSpec, Observation, Output, RuntimeCapabilities, WorkloadState
from common.runtime.docker import container, observing
from common.runtime.docker.launching import Launcher
from common.runtime.docker.networks import Networks
from common.runtime.docker.records import Record, Records, sweep
from common.runtime.docker.settings import DockerSettings
from common.runtime.docker.watch import Watcher
from common.runtime.process import outputs

MEETING_PORT = 29500
"""Where torchrun's members meet by default."""

_ENDED = (WorkloadState.EXITED, WorkloadState.LOST)


class DockerRuntime:
    """Workloads as containers of one Docker engine; their folders are kept beneath `home`.

    A container is called as its workload, so that there can't be two. Labels tell which are this runtime's.
    """

    def __init__(self, home: Path, daemon: Daemon | None = None, settings: DockerSettings | None = None) -> None:
        self.home = home.resolve()
        self.workloads = self.home / "workloads"
        self.volumes = self.home / "volumes"
        self.daemon = daemon or Daemon()
        self.settings = settings or DockerSettings()
        self.notes: list[str] = []
        self.capabilities = RuntimeCapabilities()
        self._wakes: list[Callable[[str], None]] = []
        self._started = False

    async def start(self) -> None:
        """Find again what is running and listen to Docker; where Docker is away, from when it is back."""
        for folder in (self.home, self.workloads, self.volumes):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                folder.chmod(0o711)
        self.instance = _instance(self.home)
        self._networks = Networks(self.daemon, self.instance, self.settings)
        self._launcher = Launcher(self.home, self.daemon, self.instance, self.settings, self._networks)
        self._watcher = Watcher(self.daemon, self.instance, self._connected, self._speaks)
        self._watcher.gateway = self._is_gateway
        self._started = True
        for wake in self._wakes:
            self._watcher.on_change(wake)
        open_host = self._networks.guarded()
        self.notes = [open_host] if open_host else []
        self.capabilities = RuntimeCapabilities(
            memory_limit=True,
            pids_limit=True,
            cpu_limit=True,
            own_uid=os.geteuid() == 0,
            network_isolation=not open_host,
            read_only_mounts=True,
            images=True,
            gangs=True,
        )
        await asyncio.to_thread(self._clear_away)
        self._watcher.open()

    def _clear_away(self) -> None:
        """Folders that were being made or removed when the platform was killed."""
        for path in self.workloads.iterdir():
            if not (path / "spec.json").exists() or path.name.startswith(".removed-"):
                sweep(path)

    async def _connected(self) -> None:
        """Docker is there, or there again: guard this machine, let gateways in, look at everything anew."""
        self._launcher.forget()
        await self._networks.look_again()
        await self._remove_strays()
        for workload in self._known():
            self._watcher.tell(workload)

    async def _remove_strays(self) -> None:
        """Containers of ours whose folder is gone: they were being removed."""
        for one in await self.daemon.containers(f"{container.INSTANCE}={self.instance}"):
            workload = one["Labels"].get(container.WORKLOAD, "")
            if Records(self.workloads, workload).spec() is None and not self._launcher.locks[workload].locked():
                await self.daemon.delete(one["Id"])

    def _is_gateway(self, attributes: Mapping[str, Any]) -> bool:
        name, _, value = self.settings.gateway_label.partition("=")
        return self.settings.reached_by == "gateway" and attributes.get(name) == value

    def _speaks(self, workload: str) -> bool:
        records = Records(self.workloads, workload)
        return records.told("running") is not None or records.told("exit.json") is not None

    def _known(self) -> list[str]:
        return sorted(path.parent.name for path in self.workloads.glob("[!.]*/spec.json"))

    async def launch(self, spec: LaunchSpec) -> Handle:
        """Start it; give its handle. Launching the same workload again gives the same handle and starts nothing.

        Raises LaunchFailed, Unavailable where Docker is away, and Invalid (`bad_environment`, `bad_command`,
        `bad_mount`, `bad_workload`).
        """
        records = Records(self.workloads, spec.workload)
        await self._launcher.launch(spec, records)
        return self._handle(records)

    async def meeting(self, workload: str) -> str:
        """The container's own name, which its owner's network resolves; each container has all ports."""
        return f"{workload}:{MEETING_PORT}"

    def _handle(self, records: Records) -> Handle:
        return {"runtime": "docker", "workload": records.workload}

    def _records(self, handle: Handle) -> Records:
        return Records(self.workloads, str(handle["workload"]))

    async def observe(self, handle: Handle) -> Observation:
        """How it stands now; `unknown` where Docker, or its folder, can't be asked at present."""
        records = self._records(handle)
        try:
            settled = records.spec()
            if settled is None:
                there = self.workloads.is_dir()
                return Observation(WorkloadState.GONE if there else WorkloadState.UNKNOWN)
            if (end := records.end()) is not None:
                return observing.ended(end)
            return await self._look(records, settled)
        except (Unavailable, Refused, OSError, ValueError) as error:
            return Observation(WorkloadState.UNKNOWN, detail=f"it can't be seen at present: {error}")

    async def _look(self, records: Records, settled: Record) -> Observation:
        found = await self.daemon.container(records.workload)
        state: Mapping[str, Any] = found["State"] if found else {}
        address = _address(settled, found)
        if state.get("Running"):
            if cause := observing.overdue(settled, state, records, self.settings.grace):
                (records.path / "overdue").write_text(cause)
                await self.daemon.signal(records.workload, "SIGKILL")
            return observing.running(settled, state, records, address)
        if not observing.hour(state.get("StartedAt", "")) and self._may_start(records, settled):
            return Observation(WorkloadState.STARTING)
        end = records.note_end(observing.ending(settled, found, records, address))
        if not state.get("StartedAt") or not observing.hour(state["StartedAt"]):
            await self._launcher.delete(records.workload)  # whoever still wants to start it can't any more
        return observing.ended(end)

    def _may_start(self, records: Records, settled: Record) -> bool:
        """Whether its container may be about to start: it isn't gone, and a launch isn't long ago."""
        if self._launcher.locks[records.workload].locked():
            return True
        asked = records.stop_asked() is not None
        return not asked and time.time() < settled["settled_at"] + observing.PATIENCE

    async def stop(self, handle: Handle, grace: float = 10.0, notice: str = "") -> None:
        """Ask it to end, and have what is left killed after `grace` seconds. Raises Unavailable where Docker is away.

        Asked again long after that, it is killed from outside: its supervisor may be stopped."""
        records = self._records(handle)
        if records.spec() is None or records.end() is not None:
            return
        async with self._launcher.locks[records.workload]:
            records.ask_to_stop(grace, notice)
            try:
                await self.daemon.signal(records.workload, "SIGTERM")
            except Refused as refused:
                raise Unavailable("not_stopped", f"Docker can't stop it now: {refused.message}") from refused
        await self.observe(handle)

    async def logs(self, handle: Handle, offset: int = 0) -> AsyncIterator[bytes]:
        """What it has written from byte `offset` on; nothing where it is gone. Docker isn't needed for it."""
        fd = self._records(handle).log()
        if fd is not None:
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
        settled = self._records(handle).spec() or {"mounts": {}}
        found: dict[str, Any] | None = settled["mounts"].get(mount)
        if found is None or found["kind"] != "scratch":
            raise NotFound("mount_not_found", f"{handle['workload']} has no outputs called {mount!r}.")
        return Path(found["path"])

    async def remove(self, handle: Handle) -> None:
        """Forget an ended workload and free its folder. Raises Conflict (`workload_running`), Unavailable."""
        records = self._records(handle)
        seen = await self.observe(handle)
        if seen.state is WorkloadState.GONE:
            return
        if seen.state not in _ENDED:
            raise Conflict("workload_running", f"{records.workload} is {seen.state}: stop it first.")
        try:
            await self._launcher.delete(records.workload)
        except Refused as refused:
            raise Unavailable("not_removed", f"Docker can't remove it now: {refused.message}") from refused
        await asyncio.to_thread(records.delete)
        self._launcher.locks.pop(records.workload, None)

    async def handles(self) -> Sequence[Handle]:
        """Every workload that has a folder here."""
        return [self._handle(Records(self.workloads, workload)) for workload in self._known()]

    def on_change(self, wake: Callable[[str], None]) -> None:
        """Call `wake(workload id)` in the event loop soon after a workload started or ended."""
        self._wakes.append(wake)

    async def close(self) -> None:
        """Stop listening, where it was started; workloads go on."""
        if self._started:
            await self._watcher.close()
            await self._networks.settled()
        await self.daemon.close()

    async def give_up(self) -> None:
        """Take away what stays beyond workloads: owners' networks and the packet filter. For a platform that ends for
        good, once nothing of it runs. Raises Refused, Unavailable."""
        await self._networks.give_up()
        await self.daemon.close()


def _instance(home: Path) -> str:
    """Who this runtime is among others on the same engine: drawn once, kept with its folders."""
    file = home / "instance.json"
    draft = home / f"instance.{os.getpid()}.tmp"
    draft.write_text(json.dumps({"instance": secrets.token_hex(6)}))
    try:
        os.link(draft, file)
    except FileExistsError:
        pass  # an earlier start drew it
    finally:
        draft.unlink()
    return str(json.loads(file.read_text())["instance"])


def _address(settled: Record, found: Mapping[str, Any] | None) -> str | None:
    """Where its port answers: its own address in its owner's network."""
    if not settled["port"] or found is None:
        return None
    joined = found["NetworkSettings"]["Networks"].get(settled["network"]) or {}
    return f"http://{joined['IPAddress']}:{settled['port']}" if joined.get("IPAddress") else None
