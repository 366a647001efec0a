"""Workloads that were told to give way, and are still there when their grace is over: owners that are down, or deaf.

First what they hold is revoked, which tells their owner to end them at once; later what is left is ended here. Either
way it is free only when the runtime says that nothing of it runs any more.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog

from common.db.leases import Lease
from common.kernel.errors import Unavailable
from common.ports.runtime import WorkloadState
from train_svc.context import Context
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.ledger.reading import in_state
from train_svc.silent import OVER, handles_of, states_of

log = structlog.get_logger("ledger")

REASON = "It was told to give way, and was still there when its grace was over."

ENDED = frozenset({WorkloadState.EXITED, WorkloadState.LOST})
"""What ran, and runs no more. One that is `gone` may be about to start: only its owner, or its silence, can tell."""


async def take_further(context: Context, lease: Lease | None) -> int:
    """One more step with each that is overdue; gives how many these are."""
    late = [one for one in await _holding_on(context) if _late(one, context)]
    for one in late:
        try:
            states = await states_of(context, one)
            if set(states) <= ENDED:
                await _free(context, lease, one)
            elif one.state == AllocationState.PREEMPTING:
                await _revoke(context, lease, one)
            else:
                await _kill(context, one, states)
        except Unavailable as problem:
            log.info("can't tell of an overdue allocation", allocation=one.id, reason=problem.detail)
    return len(late)


async def _holding_on(context: Context) -> list[Allocation]:
    async with context.kit.store.reading() as connection:
        return await in_state(connection, AllocationState.PREEMPTING, AllocationState.REVOKED)


def _late(one: Allocation, context: Context) -> bool:
    since: datetime | None = one.ends_by if one.state == AllocationState.PREEMPTING else one.revoked_at
    patience = timedelta(seconds=context.settings.overdue_seconds)
    return since is not None and since + patience <= context.kit.store.clock.now()


async def _revoke(context: Context, lease: Lease | None, one: Allocation) -> None:
    async with context.kit.store.work() as uow:
        if lease is not None:
            await context.kit.leases.guard(uow.connection, lease)
        await context.ledger.revoke(uow, [one.id], REASON)
    log.warning("revoked after its grace", allocation=one.id, workload=one.workload, owner=one.owner)


async def _kill(context: Context, one: Allocation, states: list[WorkloadState]) -> None:
    for handle, state in zip(handles_of(one), states, strict=True):
        if state not in OVER:
            await context.kit.platform.runtime.stop(handle, 0)
            log.warning("ended in its owner's place", allocation=one.id, workload=handle["workload"])


async def _free(context: Context, lease: Lease | None, one: Allocation) -> None:
    """Nothing of it runs: its owner may still be collecting what it left."""
    async with context.kit.store.work() as uow:
        if lease is not None:
            await context.kit.leases.guard(uow.connection, lease)
        await context.ledger.free(uow, one.id, one.workload, one.kind, one.owner)
