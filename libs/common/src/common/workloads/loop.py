"""The loop: brings every workload of a service one step further, as often as there is a step to take.

Load, act outside the transaction, apply guarded: a step whose workload changed meanwhile is thrown away and taken
again. What was asked (`request`, `ask_stop`, `granted`) is recorded by reactions and use cases in their transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Protocol

import structlog

from common.contracts.allocation import (
    AllocationCancelled,
    AllocationGranted,
    AllocationRefused,
    AllocationReleased,
    AllocationRequested,
    AllocationRevoked,
)
from common.contracts.allocation import Workload as Kind
from common.contracts.job import EndReason
from common.contracts.shared import Placement
from common.db.aggregates import missing
from common.db.database import may_lock
from common.db.inbox import Heard
from common.db.leases import Lease, LeaseLost
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Unavailable
from common.service import Kit, Loop
from common.workloads import storage
from common.workloads.plan import Plan
from common.workloads.progress import Progress, Stand
from common.workloads.steps import Steps
from common.workloads.workload import Outcome, Phase, StopRequest, Workload

log = structlog.get_logger("workloads")

TICK_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0


class Hooks(Protocol):
    """What a service does at the turns of its workloads' lives."""

    async def begin(self, uow: UnitOfWork, subject: str) -> None:
        """Before a workload of this job, project or service is locked: lock that first, as the service's own verbs do.

        Locked in two orders, each of two transactions would wait for the other. Only called where rows are locked.
        """
        ...

    async def changed(self, uow: UnitOfWork, before: Workload | None, after: Workload) -> None:
        """In the transaction of every change: move the job, project or service and emit its events."""
        ...

    async def observed(self, workload: Workload) -> None:
        """Outside transactions, at each look at a running one: read metrics, probe readiness."""
        ...

    async def collect(self, workload: Workload) -> dict[str, Any]:
        """Outside transactions, once it runs no more: put what it left into the file store. Idempotent."""
        ...


class Workloads:
    """The workloads of one service."""

    def __init__(self, kit: Kit, hooks: Hooks) -> None:
        self._kit = kit
        self._hooks = hooks
        self._progress = Progress(kit.store)
        self._steps = Steps(kit, hooks.collect, self._may_launch, self._progress.here)
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._pauses: dict[str, tuple[float, float]] = {}
        self._interrupted: set[str] = set()
        self._lease: Lease | None = None
        self.loop = Loop("workloads", self._round, every=TICK_SECONDS, lost=self._lost)
        kit.platform.runtime.on_change(self.wake)

    # What others ask, in their own transactions

    async def request(
        self, uow: UnitOfWork, workload_id: str, kind: Kind, subject: str, owner: str, plan: Plan, priority: int = 0
    ) -> Workload:
        """A new workload that asks the ledger for capacity."""
        now = uow.clock.now()
        workload = Workload(workload_id, kind, subject, owner, plan, now, now)
        await storage.add(uow.connection, workload)
        ask = AllocationRequested(
            id=workload.allocation,
            workload=workload.id,
            kind=kind,
            owner=owner,
            resources=plan.resources,
            priority=priority,
        )
        await uow.emit(ask, subject=workload.allocation, owner=owner)
        uow.memo["workload", workload_id] = workload
        await self._hooks.changed(uow, None, workload)
        return workload

    async def grant(self, uow: UnitOfWork, workload_id: str, placements: tuple[Placement, ...]) -> None:
        """The ledger promised these devices. A grant for one that waits no more is given back by releasing it."""
        known = uow.memo.get(("workload", workload_id))
        workload = known or await self._find(uow, workload_id)
        if workload is None or workload.phase != Phase.WAITING:
            return
        await self._change(uow, workload, workload.moved("grant", placements=placements))

    async def refuse(self, uow: UnitOfWork, workload_id: str, detail: str) -> None:
        """It can never fit."""
        workload = await self._find(uow, workload_id)
        if workload is not None and workload.phase == Phase.WAITING:
            ended = workload.moved(
                "abandon", outcome=Outcome(EndReason.LAUNCH_FAILED, detail), ended_at=uow.clock.now()
            )
            await self._change(uow, workload, ended)

    async def ask_stop(
        self, uow: UnitOfWork, workload_id: str, reason: EndReason = EndReason.STOPPED_BY_USER, grace: float = 10.0
    ) -> None:
        """Let it end. Asking twice is asking once; an ended one is left alone. A waiting one ends at once."""
        workload = await self._find(uow, workload_id)
        if workload is None:
            raise missing("workload", workload_id)
        if workload.phase == Phase.ENDED or workload.stop is not None:
            return
        asked = replace(workload, stop=StopRequest(reason, grace))
        if workload.phase == Phase.WAITING:
            asked = asked.moved("abandon", outcome=Outcome(reason), ended_at=uow.clock.now())
        await self._change(uow, workload, asked)
        if workload.phase == Phase.WAITING:
            cancelled = AllocationCancelled(id=workload.allocation, workload=workload.id)
            await uow.emit(cancelled, subject=workload.allocation, owner=workload.owner)
        if workload.phase == Phase.PREPARING:
            uow.after_commit(lambda: self._interrupt(workload_id))

    async def _find(self, uow: UnitOfWork, workload_id: str) -> Workload | None:
        """The workload, locked after what it belongs to; None where it is not this service's."""
        if may_lock(uow.connection):
            subject = await storage.subject_of(uow.connection, workload_id)
            if subject is None:
                return None
            await self._hooks.begin(uow, subject)
        return await storage.find(uow.connection, workload_id)

    # What it hears; a workload that is another service's is not here and left alone

    async def on_allocation_granted(self, uow: UnitOfWork, heard: Heard[AllocationGranted]) -> None:
        """Capacity is promised: go on."""
        await self.grant(uow, heard.data.workload, heard.data.placements)

    async def on_allocation_refused(self, uow: UnitOfWork, heard: Heard[AllocationRefused]) -> None:
        """It can never fit: it ends with the ledger's reason."""
        await self.refuse(uow, heard.data.workload, heard.data.reason)

    async def on_allocation_revoked(self, uow: UnitOfWork, heard: Heard[AllocationRevoked]) -> None:
        """Its device or node is lost: stop what may still run of it."""
        if await self._find(uow, heard.data.workload) is not None:
            await self.ask_stop(uow, heard.data.workload, EndReason.DEVICE_LOST, grace=0)

    # The loop

    def wake(self, workload_id: str) -> None:
        """Look at this one soon."""
        if self._lease is None:
            return
        if (task := self._busy.get(workload_id)) is not None and not task.done():
            self._again.add(workload_id)
            return
        self._busy[workload_id] = asyncio.create_task(self._advance(workload_id), name=f"workload {workload_id}")

    def _interrupt(self, workload_id: str) -> None:
        """Don't finish staging or building an engine for one that is to end; what was staged is kept for others."""
        if (task := self._busy.get(workload_id)) is not None:
            task.cancel()
            task.add_done_callback(lambda _: self.wake(workload_id))

    def under_way(self) -> list[asyncio.Task[None]]:
        """The steps that are being taken at this moment."""
        return list(self._busy.values())

    async def close(self) -> None:
        """Stop stepping; workloads go on by themselves."""
        self._lease = None
        tasks = self.under_way()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _lost(self) -> None:
        """Another instance steps from now on: what is under way here ends."""
        if self._lease is not None:
            self._lease = None
            self._progress.forget()
            for task in self.under_way():
                task.cancel()

    async def _may_launch(self, workload: Workload) -> None:
        """Raise LeaseLost unless it is still ours to launch: preparing may have taken so long that another instance has
        run it to its end meanwhile."""
        async with self._kit.store.work() as uow:
            if self._lease is None:
                raise LeaseLost("workloads")
            await self._kit.leases.guard(uow.connection, self._lease)
            now = await storage.find(uow.connection, workload.id)
        if now is None or now.version != workload.version:
            raise LeaseLost(f"{workload.id} was changed while it was prepared")

    async def _round(self, lease: Lease | None) -> None:
        self._lease = lease
        async with self._kit.store.reading() as connection:
            ids = await storage.unfinished(connection)
            stopped = await storage.to_be_stopped(connection, self._busy.keys())
        for workload_id in stopped - self._interrupted:
            self._interrupt(workload_id)  # it was asked of another instance
        self._interrupted = stopped
        now = self._kit.store.clock.monotonic()
        for workload_id in ids:
            due, _ = self._pauses.get(workload_id, (0.0, 0.0))
            if due <= now and workload_id not in self._busy:
                self.wake(workload_id)
        self._pauses = {known: pause for known, pause in self._pauses.items() if known in ids}
        await self._progress.tell()

    async def _advance(self, workload_id: str) -> None:
        try:
            while await self._step(workload_id) or workload_id in self._again:
                self._again.discard(workload_id)
            self._pauses.pop(workload_id, None)
        except (Conflict, LeaseLost):
            self.loop.wake()  # it changed meanwhile, or another instance has it: look afresh
        except Unavailable as problem:
            await self._wait(workload_id, problem.detail)
        except Exception:
            log.exception("step failed, will be tried again", workload=workload_id)
            self._pause(workload_id)
        finally:
            self._busy.pop(workload_id, None)

    async def _step(self, workload_id: str) -> bool:
        """One step; True where the next can follow at once."""
        async with self._kit.store.reading() as connection:
            workload = await storage.find(connection, workload_id)
        if workload is None or workload.phase in (Phase.WAITING, Phase.ENDED):
            return False
        if workload.phase == Phase.RUNNING:
            await self._look_at(workload)
        after = await self._steps.take(workload, self._report(workload))
        if after is None:
            return False
        await self._apply(workload, after)
        return after.phase not in (workload.phase, Phase.ENDED)

    async def _look_at(self, workload: Workload) -> None:
        """The service's own look. Whatever it stumbles over, the workload's end must be seen all the same."""
        try:
            await self._hooks.observed(workload)
        except Unavailable as problem:
            log.info("nothing observed now", workload=workload.id, reason=problem.detail)
        except Exception:
            log.exception("observing failed, goes on", workload=workload.id)

    def _report(self, workload: Workload) -> Callable[[float, str], None]:
        """Progress of preparing, kept in memory until the next change is written."""

        def report(progress: float, note: str) -> None:
            self.progress[workload.id] = (progress, note)

        return report

    @property
    def progress(self) -> dict[str, Stand]:
        """How preparing stands, by workload, as far as it is this instance that prepares."""
        return self._progress.here

    async def progress_of(self, workloads: Collection[str]) -> dict[str, Stand]:
        """How preparing these stands, whichever instance does it; there it is noted at every turn."""
        return self.progress if self._lease is not None else await self._progress.elsewhere(workloads)

    async def _apply(self, before: Workload, after: Workload) -> None:
        async with self._kit.store.work() as uow:
            if self._lease is None:
                raise LeaseLost("workloads")
            await self._kit.leases.guard(uow.connection, self._lease)
            if may_lock(uow.connection):
                await self._hooks.begin(uow, before.subject)
            await self._change(uow, before, after)
        if after.phase != before.phase:
            self.progress.pop(after.id, None)

    async def _change(self, uow: UnitOfWork, before: Workload, after: Workload) -> None:
        saved = await storage.save(uow.connection, after, uow.clock.now())
        uow.memo["workload", saved.id] = saved
        await self._hooks.changed(uow, before, saved)
        if saved.phase == Phase.ENDED and before.phase == Phase.RELEASING:
            released = AllocationReleased(id=saved.allocation, workload=saved.id)
            await uow.emit(released, subject=saved.allocation, owner=saved.owner)
        uow.after_commit(lambda: self.wake(saved.id))

    async def _wait(self, workload_id: str, reason: str) -> None:
        """Something it needs is not there now: say so, and try again after a growing pause."""
        self._pause(workload_id)
        log.warning("workload waits", workload=workload_id, reason=reason)
        self.progress[workload_id] = (0.0, reason)

    def _pause(self, workload_id: str) -> None:
        _, last = self._pauses.get(workload_id, (0.0, FIRST_PAUSE_SECONDS / 2))
        pause = min(last * 2, LONGEST_PAUSE_SECONDS)
        self._pauses[workload_id] = (self._kit.store.clock.monotonic() + pause, pause)
