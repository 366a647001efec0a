"""What is asked of workloads and told of their capacity, recorded in the transactions of whoever asks or tells."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol

from common.contracts.allocation import (
    AllocationCancelled,
    AllocationGranted,
    AllocationPreempting,
    AllocationRefused,
    AllocationReleased,
    AllocationRevoked,
)
from common.contracts.allocation import Workload as Kind
from common.contracts.job import EndReason
from common.contracts.shared import Placement
from common.db.aggregates import missing
from common.db.database import may_lock
from common.db.inbox import Heard
from common.db.uow import UnitOfWork
from common.service import Kit
from common.workloads import storage
from common.workloads.plan import Plan
from common.workloads.workload import Asking, Outcome, Phase, StopRequest, Workload, ask, gives_back

OVER = (Phase.COLLECTING, Phase.RELEASING, Phase.ENDED)
"""The phases in which nothing runs of a workload any more."""


Told = AllocationGranted | AllocationRefused | AllocationPreempting | AllocationRevoked


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


class Asked:
    """The workloads of one service, all of one kind, as others see them: to be requested, granted and stopped."""

    def __init__(self, kit: Kit, hooks: Hooks, kind: Kind) -> None:
        self._kit = kit
        self._hooks = hooks
        self._kind = kind

    def wake(self, workload_id: str, known: Workload | None = None) -> None:
        """Look at this one soon; `known` is how somebody has just written it down."""

    def _interrupt(self, workload_id: str) -> None:
        """Don't finish preparing one that is to end."""

    async def request(
        self,
        uow: UnitOfWork,
        workload_id: str,
        subject: str,
        owner: str,
        plan: Plan,
        asking: Asking = Asking(),
    ) -> Workload:
        """A new workload that asks the ledger for capacity."""
        now = uow.clock.now()
        workload = Workload(workload_id, self._kind, subject, owner, plan, now, now)
        await storage.add(uow.connection, workload)
        uow.emit(ask(workload, asking), subject=workload.allocation, owner=owner)
        uow.memo["workload", workload_id] = workload
        await self._hooks.changed(uow, None, workload)
        return workload

    async def grant(self, uow: UnitOfWork, workload_id: str, placements: tuple[Placement, ...]) -> None:
        """The ledger promised these devices. A grant for one that waits no more is given back by releasing it."""
        known = uow.memo.get(("workload", workload_id))
        workload = known or await self._find(uow, workload_id)
        if workload is None or workload.phase != Phase.WAITING:
            return
        await self._move(uow, workload, workload.moved("grant", placements=placements))

    async def refuse(self, uow: UnitOfWork, workload_id: str, detail: str) -> None:
        """It can never fit."""
        workload = await self._find(uow, workload_id)
        if workload is not None and workload.phase == Phase.WAITING:
            ended = workload.moved(
                "abandon", outcome=Outcome(EndReason.LAUNCH_FAILED, detail), ended_at=uow.clock.now()
            )
            await self._move(uow, workload, ended)

    async def ask_stop(
        self,
        uow: UnitOfWork,
        workload_id: str,
        reason: EndReason = EndReason.STOPPED_BY_USER,
        grace: float = 10.0,
        detail: str = "",
    ) -> None:
        """Let it end. Asking twice is asking once; an ended one is left alone. A waiting one ends at once.

        One that was told to give way to another ends for good where somebody asks for that meanwhile, and sooner where
        its grace is cut short.
        """
        workload = await self._find(uow, workload_id)
        if workload is None:
            raise missing("workload", workload_id)
        stop = StopRequest(reason, grace, detail)
        if workload.phase == Phase.ENDED or (workload.stop is not None and not _outranks(stop, workload.stop)):
            return
        asked = replace(workload, stop=stop)
        if workload.phase == Phase.WAITING:
            asked = asked.moved("abandon", outcome=Outcome(reason, detail), ended_at=uow.clock.now())
        await self._move(uow, workload, asked)
        if workload.phase == Phase.WAITING:
            cancelled = AllocationCancelled(id=workload.allocation, workload=workload.id, kind=workload.kind)
            uow.emit(cancelled, subject=workload.allocation, owner=workload.owner)
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

    def _may_be_here(self, told: Told) -> bool:
        """Whether it is worth looking for; earlier versions did not tell the kind."""
        return told.kind in (None, self._kind)

    async def on_allocation_granted(self, uow: UnitOfWork, heard: Heard[AllocationGranted]) -> None:
        """Capacity is promised: go on."""
        if self._may_be_here(heard.data):
            await self.grant(uow, heard.data.workload, heard.data.placements)

    async def on_allocation_refused(self, uow: UnitOfWork, heard: Heard[AllocationRefused]) -> None:
        """It can never fit: it ends with the ledger's reason."""
        if self._may_be_here(heard.data):
            await self.refuse(uow, heard.data.workload, heard.data.reason)

    async def on_allocation_preempting(self, uow: UnitOfWork, heard: Heard[AllocationPreempting]) -> None:
        """It is to give way to a more urgent one: it is told, and has so long for a checkpoint.

        It asks again as a new workload, which is up to the service (`Hooks.changed`).
        """
        told = heard.data
        if self._may_be_here(told) and await self._find(uow, told.workload) is not None:
            await self.ask_stop(uow, told.workload, EndReason.PREEMPTED, told.grace, told.reason)

    async def on_allocation_revoked(self, uow: UnitOfWork, heard: Heard[AllocationRevoked]) -> None:
        """Its device or node is lost, or it did not give way in time: stop what may still run of it."""
        workload = await self._find(uow, heard.data.workload) if self._may_be_here(heard.data) else None
        if workload is not None and workload.phase not in OVER:
            reason = EndReason.PREEMPTED if heard.data.preempted else EndReason.DEVICE_LOST
            await self.ask_stop(uow, workload.id, reason, 0, heard.data.reason)

    async def _move(self, uow: UnitOfWork, before: Workload, after: Workload) -> None:
        """A change that somebody else makes than the loop, which has to look."""
        saved = await self._change(uow, before, after)
        uow.after_commit(lambda: self.wake(saved.id, saved))

    async def _change(self, uow: UnitOfWork, *way: Workload) -> Workload:
        """Write down the last of these, each of which followed from the one before; gives it as it is stored."""
        saved = await storage.save(uow.connection, way[-1], uow.clock.now())
        uow.memo["workload", saved.id] = saved
        for before, after in pairwise([*way[:-1], saved]):
            await self._hooks.changed(uow, before, after)
            if before.phase != Phase.WAITING and gives_back(before, after):
                released = AllocationReleased(id=saved.allocation, workload=saved.id, kind=saved.kind)
                uow.emit(released, subject=saved.allocation, owner=saved.owner)
        return saved


def _outranks(stop: StopRequest, asked: StopRequest) -> bool:
    """Whether this takes the place of what was asked before: people's wish does, and the end of a grace. A node that is
    lost meanwhile makes no failure of what was to give way."""
    if asked.reason != EndReason.PREEMPTED:
        return False
    return stop.reason == EndReason.STOPPED_BY_USER or (stop.reason == asked.reason and stop.grace < asked.grace)
