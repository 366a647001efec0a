"""Nodes and their devices, and what is free of them."""

from __future__ import annotations

from fastapi import APIRouter

from common.ports.inventory import Device
from common.web.access import Permission, may_see, permits
from common.web.identity import Caller, Principal
from train_svc.context import Ctx
from train_svc.domain import scheduling
from train_svc.domain.allocation import Allocation
from train_svc.ledger import granted_now
from train_svc.schemas.capacity import DeviceOut, NodeOut, NodesOut

router = APIRouter(tags=["capacity"])


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
