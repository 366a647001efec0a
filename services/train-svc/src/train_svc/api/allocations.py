"""Allocations: what is promised to whom."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from common.web.access import Permission, permits, require_see, visible
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from train_svc.context import Ctx
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.ledger import waiting_in_order
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
) -> PageOf[AllocationOut]:
    """The allocations of the caller's workloads; all of them for an administrator."""
    wanted = [visible(who, allocations_table)]
    wanted += [allocations_table.c.state.in_(state)] if state else []
    wanted += [allocations_table.c.kind == kind] if kind else []
    async with context.kit.store.reading() as connection:
        found = await allocations.page(connection, page, *wanted)
        places = _places(await waiting_in_order(connection))
    items = [AllocationOut.of(allocation, places.get(allocation.id)) for allocation in found.items]
    return PageOf(items=items, next_cursor=found.next_cursor)


@router.get("/allocations/{allocation_id}", **permits(Permission.SEE))
async def get_allocation(context: Ctx, who: Caller, allocation_id: str) -> AllocationOut:
    """One allocation."""
    async with context.kit.store.reading() as connection:
        allocation = await allocations.get(connection, allocation_id)
        places = _places(await waiting_in_order(connection))
    require_see(who, "allocation", allocation_id, allocation.owner, shared=False)
    return AllocationOut.of(allocation, places.get(allocation_id))


def _places(waiting: list[Allocation]) -> dict[str, int]:
    """Places in the queue, from 1."""
    return {allocation.id: place for place, allocation in enumerate(waiting, start=1)}
