"""Allocations: what is promised to whom, and why somebody waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from common.web.access import Permission, permits, require_see, visible
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from train_svc.context import Context, Ctx
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.ledger.reading import confirmations
from train_svc.presenting import giving_way_of, positions, reasons_for
from train_svc.schemas.capacity import AllocationOut
from train_svc.storage import allocations, allocations_table

router = APIRouter(tags=["capacity"])


@router.get("/allocations", **permits(Permission.USER))
async def list_allocations(
    context: Ctx,
    who: Caller,
    page: Paging,
    state: Annotated[list[AllocationState] | None, Query()] = None,
    kind: str | None = None,
    queue: str | None = None,
) -> PageOf[AllocationOut]:
    """The allocations of the caller's workloads; all of them for an administrator."""
    wanted = [visible(who, allocations_table)]
    wanted += [allocations_table.c.state.in_(state)] if state else []
    wanted += [allocations_table.c.kind == kind] if kind else []
    wanted += [allocations_table.c.queue == queue] if queue else []
    async with context.kit.store.reading() as connection:
        found = await allocations.page(connection, page, *wanted)
        confirmed = await confirmations(connection, [one.id for one in found.items])
        waiting = [one.id for one in found.items if one.state == AllocationState.WAITING]
        places = await positions(context, connection, waiting)
    items = [_told(context, one, confirmed.get(one.id), places.get(one.id)) for one in found.items]
    return PageOf(items=items, next_cursor=found.next_cursor)


@router.get("/allocations/{allocation_id}", **permits(Permission.SEE))
async def get_allocation(context: Ctx, who: Caller, allocation_id: str) -> AllocationOut:
    """One allocation; while it waits, with where it stands, what is missing where, what holds it, and until when."""
    async with context.kit.store.reading() as connection:
        allocation = await allocations.get(connection, allocation_id)
        require_see(who, "allocation", allocation_id, allocation.owner, shared=False)
        confirmed = await confirmations(connection, [allocation_id])
        why = await reasons_for(context, connection, who, allocation_id)
        gives = await giving_way_of(connection, who, allocation)
    told = _told(context, allocation, confirmed.get(allocation_id), why.position if why else None)
    return told.model_copy(update={"waiting": why, "giving_way": gives})


def _told(context: Context, allocation: Allocation, confirmed: datetime | None, position: int | None) -> AllocationOut:
    since = confirmed or allocation.granted_at
    now = context.kit.store.clock.now()
    silent = allocation.holds and since is not None
    silent = silent and now - since > timedelta(seconds=context.settings.silent_seconds)  # type: ignore[operator]
    told = AllocationOut.of(allocation, position, context.simulated if allocation.placements else ())
    return told.model_copy(update={"confirmed_at": confirmed, "silent": silent})
