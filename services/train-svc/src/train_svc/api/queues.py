"""Queues: who waits, in which order."""

from __future__ import annotations

from fastapi import APIRouter

from common.web.access import Permission, may_see, permits
from common.web.identity import Caller, Principal
from train_svc.context import Ctx
from train_svc.domain.allocation import Allocation
from train_svc.ledger import granted_now, waiting_in_order
from train_svc.schemas.capacity import QueueOut, QueuesOut, WaitingOut
from train_svc.schemas.shared import ResourcesOut

router = APIRouter(tags=["capacity"])


@router.get("/queues", **permits(Permission.USER))
async def list_queues(context: Ctx, who: Caller) -> QueuesOut:
    """The one queue, in its order; what others wait for is told without saying whose it is."""
    async with context.kit.store.reading() as connection:
        waiting, granted = await waiting_in_order(connection), await granted_now(connection)
    places = [_waiting(who, position, allocation) for position, allocation in enumerate(waiting, start=1)]
    return QueuesOut(items=[QueueOut(granted=len(granted), waiting=places)])


def _waiting(who: Principal, position: int, allocation: Allocation) -> WaitingOut:
    mine = may_see(who, allocation.owner, shared=False)
    return WaitingOut(
        position=position,
        kind=allocation.kind,
        resources=ResourcesOut(spec=None, **allocation.resources.model_dump()),
        allocation=allocation.id if mine else None,
        workload=allocation.workload if mine else None,
        created_at=allocation.created_at,
    )
