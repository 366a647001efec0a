"""Allocations, nodes and queues: what is promised to whom, and who waits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from common.ports.inventory import Device
from common.web.access import Permission, may_see, permits, require_see, visible
from common.web.identity import Caller, Principal
from common.web.paging import PageOf, Paging
from train_svc.context import Ctx
from train_svc.domain import scheduling
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.ledger import granted_now, waiting_in_order
from train_svc.schemas.capacity import (
    AllocationOut,
    DeviceOut,
    NodeOut,
    NodesOut,
    QueueOut,
    QueuesOut,
    WaitingOut,
)
from train_svc.schemas.shared import ResourcesOut
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


@router.get("/nodes", **permits(Permission.USER))
async def list_nodes(context: Ctx, who: Caller) -> NodesOut:
    """All nodes with their devices, and what is free of them."""
    async with context.kit.store.reading() as connection:
        granted = await granted_now(connection)
    holders = {
        (placement.node, device): allocation
        for allocation in granted
        for placement in allocation.placements
        for device in placement.devices
    }
    left = {free.name: free for free in scheduling.free(context.ledger.nodes, [a.as_held() for a in granted])}
    return NodesOut(
        items=[
            NodeOut(
                name=node.name,
                cpu=node.cpu,
                memory=node.memory,
                cpu_free=left[node.name].cpu,
                memory_free=left[node.name].memory,
                devices=[_device(who, device, holders.get((node.name, device.id))) for device in node.devices],
            )
            for node in context.ledger.nodes
        ]
    )


def _device(who: Principal, device: Device, holder: Allocation | None) -> DeviceOut:
    told = holder.id if holder is not None and may_see(who, holder.owner, shared=False) else None
    return DeviceOut(
        id=device.id,
        kind=device.kind,
        model=device.model,
        memory=device.memory,
        simulated=device.simulated,
        busy=holder is not None,
        allocation=told,
    )


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


def _places(waiting: list[Allocation]) -> dict[str, int]:
    """Places in the queue, from 1."""
    return {allocation.id: place for place, allocation in enumerate(waiting, start=1)}
