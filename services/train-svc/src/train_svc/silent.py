"""Allocations whose owners say nothing any more: the runtime is asked, and only what it knows to be over is taken back.

Silence alone takes nothing from anybody: an owner that is down for a day finds its workloads as it left them.
"""

from __future__ import annotations

from datetime import timedelta

import structlog

from common.db.leases import Lease
from common.kernel.errors import Unavailable
from common.ports.runtime import Handle, WorkloadState
from common.workloads.gangs import member_id
from train_svc.context import Context
from train_svc.domain.allocation import Allocation
from train_svc.ledger.reading import silent_since

log = structlog.get_logger("ledger")

OVER = (WorkloadState.GONE, WorkloadState.EXITED, WorkloadState.LOST)
"""What a runtime says of a workload of which nothing runs any more."""


async def look_after(context: Context, lease: Lease | None) -> int:
    """Take back what nobody speaks for and nothing runs of; gives how many that were."""
    taken = 0
    for one in await _silent(context):
        try:
            states = await states_of(context, one)
        except Unavailable as problem:
            log.info("can't tell of a silent allocation", allocation=one.id, reason=problem.detail)
            continue
        if set(states) <= set(OVER):
            taken += await _take_back(context, lease, one, str(states[0]))
    return taken


def handles_of(one: Allocation) -> list[Handle]:
    """By which the runtime finds its workload: each member of a gang."""
    ids = (member_id(one.workload, rank) for rank in range(max(1, len(one.placements))))
    return [{"workload": name} for name in ids]


async def states_of(context: Context, one: Allocation) -> list[WorkloadState]:
    """How the runtime sees its workload, a state a member. Raises Unavailable where it can't be asked."""
    runtime = context.kit.platform.runtime
    return [(await runtime.observe(handle)).state for handle in handles_of(one)]


async def _silent(context: Context) -> list[Allocation]:
    before = context.kit.store.clock.now() - timedelta(seconds=context.settings.silent_seconds)
    async with context.kit.store.reading() as connection:
        return await silent_since(connection, before)


async def _take_back(context: Context, lease: Lease | None, one: Allocation, seen: str) -> bool:
    why = f"Its owner has said nothing of it for long, and the runtime says that its workload is {seen}."
    before = context.kit.store.clock.now() - timedelta(seconds=context.settings.silent_seconds)
    async with context.kit.store.work() as uow:
        if lease is not None:
            await context.kit.leases.guard(uow.connection, lease)
        await context.ledger.alone(uow)
        if one.id not in {still.id for still in await silent_since(uow.connection, before)}:
            return False
        await context.ledger.revoke(uow, [one.id], why)
        await context.ledger.free(uow, one.id, one.workload, one.kind, one.owner)
    log.warning("taken back", allocation=one.id, workload=one.workload, seen=seen)
    return True
