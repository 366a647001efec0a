"""Starting a container for a workload: once, whoever asks how often, and wherever an earlier try was cut off."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from common.docker import Daemon, Refused, fetch_image
from common.kernel.accelerators import GPU, NPU
from common.kernel.errors import Problem, Unavailable
from common.ports.runtime import LaunchSpec
from common.runtime.docker import container, observing, plan
from common.runtime.docker.networks import Networks
from common.runtime.docker.records import Record, Records
from common.runtime.docker.settings import DockerSettings
from common.runtime.process.owners import Owners
from common.runtime.process.plan import LaunchFailed

_PROGRAM = (
    Path(__file__).with_name("enter"),
    *(Path(__file__).parents[1] / "process" / name for name in ("supervisor.py", "ending.py")),
)
_OOM = {"1": "/sys/fs/cgroup/memory/memory.oom_control", "2": "/sys/fs/cgroup/memory.events"}

_RUNTIMES = {GPU.resource: "nvidia", NPU.resource: "ascend"}
"""The runtimes of Docker that say that devices of these vendors are real."""


class Launcher:
    """Launches workloads of one runtime, `instance`, whose folders are beneath `home`."""

    def __init__(self, home: Path, daemon: Daemon, instance: str, settings: DockerSettings, networks: Networks) -> None:
        self._home, self._daemon, self._instance, self._settings = home, daemon, instance, settings
        self._networks = networks
        self._owners = Owners(home)
        self._facts: dict[str, Any] | None = None
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def forget(self) -> None:
        """Ask again what kind of engine it is: it was away."""
        self._facts = None

    async def launch(self, spec: LaunchSpec, records: Records) -> None:
        """Start it, unless it was started ever. Raises LaunchFailed, Unavailable, Invalid."""
        async with self.locks[spec.workload]:
            try:
                if not await self._is_launched(records):
                    await self._launch(spec, records)
            except (Refused, OSError) as error:
                if records.end() is not None:
                    return  # it was written off while it was being started, and its container taken away
                await self._undo(records)
                raise LaunchFailed(f"{spec.workload} can't be started: {error}") from error
            except Unavailable:
                raise  # whether it started isn't known: what was settled stays, and the next launch goes on from it
            except Problem:
                await self._undo(records)
                raise

    async def _is_launched(self, records: Records) -> bool:
        """Whether its container was started, ever: then nothing more is to be done, and nothing may be."""
        if records.spec() is None:
            return False
        if records.end() is not None:
            return True
        found = await self._daemon.container(records.workload)
        return records.created() if found is None else bool(observing.hour(found["State"]["StartedAt"]))

    async def _launch(self, spec: LaunchSpec, records: Records) -> None:
        settled = records.spec()
        if settled is None:
            settled = await self._settle(spec, records)
        if not records.created():
            await self._create(settled, records)
        if records.end() is not None:  # written off meanwhile, by whoever thought us dead
            await self.delete(records.workload)
            return
        await self._daemon.start(records.workload)

    async def _create(self, settled: Record, records: Records) -> None:
        facts = await self._engine()
        files = {path.name: path.read_bytes() for path in _PROGRAM}
        files["launch"] = plan.launch_words(settled, _OOM.get(facts["cgroup"], _OOM["2"]), self._settings.grace)
        await asyncio.to_thread(records.prepare, files, settled["uid"])
        config = container.configuration(settled, records.path, self._instance, self._settings, facts["accelerators"])
        if not await self._daemon.create(records.workload, config):
            await self._check_ours(records.workload)
        records.note_created()

    async def _check_ours(self, name: str) -> None:
        found = await self._daemon.container(name)
        if found is not None and found["Config"]["Labels"].get(container.INSTANCE) != self._instance:
            raise LaunchFailed(f"Docker has a container called {name} that isn't this platform's; remove or rename it.")

    async def _settle(self, spec: LaunchSpec, records: Records) -> Record:
        plan.check(spec)
        image = await self._image(spec.image or self._settings.base_image)
        uid = self._owners.uid(spec.owner) if os.geteuid() == 0 else os.geteuid()
        network = await self._networks.ensure(spec.owner)
        folders = plan.Folders(records.path, self._home / "volumes", self._home, self._settings)
        mounts = await asyncio.to_thread(folders.make, spec.mounts, uid)
        real = (await self._engine())["accelerators"] if spec.devices else ()
        return records.settle(plan.settle(spec, image, mounts, uid, network, self._settings.kinds, real))

    async def _image(self, reference: str) -> dict[str, Any]:
        """The image, fetched where it isn't there. Raises LaunchFailed where it can't be had, Unavailable."""
        try:
            return await fetch_image(self._daemon, reference)
        except Unavailable:
            raise
        except Problem as problem:
            raise LaunchFailed(problem.detail) from problem

    async def _engine(self) -> dict[str, Any]:
        """What has to be known of the engine: its control groups' version, and the kinds whose devices are real."""
        if self._facts is None:
            told = await self._daemon.ask(lambda docker: docker.system.info())
            runtimes = told.get("Runtimes") or {}
            cdi = {str(one.get("ID", "")).partition("=")[0] for one in told.get("DiscoveredDevices") or ()}
            found = tuple(
                kind.kind
                for kind in self._settings.kinds
                if _RUNTIMES.get(kind.resource) in runtimes or (kind.resource in cdi and kind.resource not in _RUNTIMES)
            )
            wanted = self._settings.accelerators
            self._facts = {
                "cgroup": str(told.get("CgroupVersion", "2")),
                "accelerators": found if wanted is None else wanted,
            }
        return self._facts

    async def _undo(self, records: Records) -> None:
        """Leave nothing of a launch that failed before its container started."""
        if records.path.exists():
            try:
                await self.delete(records.workload)
            except (Refused, Unavailable):
                return  # the next launch, or `observe`, finds it
            await asyncio.to_thread(records.delete)

    async def delete(self, name: str) -> None:
        """Remove a container of ours, and nobody else's of that name."""
        found = await self._daemon.container(name)
        if found is not None and found["Config"]["Labels"].get(container.INSTANCE) == self._instance:
            await self._daemon.delete(found["Id"])
