"""Queues: what groups may use, and who waits in which order. Administrators make and change them."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from common.kernel.errors import NotFound
from common.web.access import Permission, may_see, permits
from common.web.identity import Caller, Principal
from train_svc import quotas
from train_svc.context import Context, Ctx
from train_svc.domain.allocation import Allocation
from train_svc.domain.scheduling.explaining import order
from train_svc.ledger.reading import by_id
from train_svc.schemas.queues import QueueIn, QueueOut, QueuesOut, WaitingOut
from train_svc.schemas.shared import ResourcesOut

router = APIRouter(tags=["capacity"])

Shown = Annotated[int, Query(ge=0, le=1000, description="How many of those that wait are told for each queue")]


@router.get("/queues", **permits(Permission.USER))
async def list_queues(context: Ctx, who: Caller, waiting: Shown = 100) -> QueuesOut:
    """All queues, each with who waits in it; what others wait for is told without saying whose it is."""
    async with context.kit.store.reading() as connection:
        items = await _told(context, who, connection, waiting)
    return QueuesOut(items=items, priority_classes=context.settings.priority_classes)


@router.get("/queues/{name}", **permits(Permission.USER))
async def get_queue(context: Ctx, who: Caller, name: str, waiting: Shown = 100) -> QueueOut:
    """One queue."""
    async with context.kit.store.reading() as connection:
        found = [queue for queue in await _told(context, who, connection, waiting) if queue.id == name]
    if not found:
        raise NotFound("queue_not_found", f"There is no queue {name!r}; `yard queue list` shows which there are.")
    return found[0]


@router.put("/queues/{name}", **permits(Permission.ADMIN))
async def put_queue(context: Ctx, who: Caller, name: str, body: QueueIn) -> QueueOut:
    """Make or change a queue; who waits is planned for by it at once."""
    await context.kit.store.do(lambda uow: quotas.put(context.ledger, uow, name, body.asked()), who.id)
    return await get_queue(context, who, name)


@router.delete("/queues/{name}", status_code=204, **permits(Permission.ADMIN))
async def delete_queue(context: Ctx, who: Caller, name: str) -> Response:
    """Remove a queue that nobody waits in and nothing runs of. The default queue is without limits then."""
    await context.kit.store.do(lambda uow: quotas.remove(context.ledger, uow, name), who.id)
    return Response(status_code=204)


async def _told(context: Context, who: Principal, connection: AsyncConnection, most: int) -> list[QueueOut]:
    state = await context.ledger.seen(connection)
    books = state.books
    place = {one: n for n, one in enumerate(order(state, context.kit.store.clock.now().timestamp()), start=1)}
    waits = {one: (books.claimed.get(one) or books.lines.requests[one]).queue for one in place}
    granted, total = Counter(one.request.queue for one in books.running.values()), Counter(waits.values())
    told: dict[str, list[str]] = {name: [] for name in books.quotas.queues}
    for one, queue in waits.items():
        if len(told[queue]) < most:
            told[queue].append(one)
    lines = books.quotas
    queues = [lines.queues[name] for name in sorted(lines.queues)]
    known = await by_id(connection, [one for ids in told.values() for one in ids])
    return [
        QueueOut.of(
            queue,
            lines,
            granted[queue.name],
            total[queue.name],
            [_waiting(who, place[one], known[one]) for one in told[queue.name] if one in known],
        )
        for queue in queues
    ]


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
