"""Nodes over HTTP."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Self

from pydantic import BaseModel, Field

from common.ports.inventory import Device
from train_svc.domain.allocation import Allocation
from train_svc.domain.node import KnownNode, NodeState
from train_svc.schemas.shared import Asked

Told = Callable[[Allocation], bool]
"""Whether the caller may be told whose allocation it is."""


class Marking(Asked):
    """Why a node is cordoned, drained or fenced."""

    reason: str = Field(default="", max_length=255)


class Draining(Marking):
    """Why a node is drained, and how many seconds what runs there has to end (a setting unless given)."""

    grace_seconds: float | None = Field(default=None, ge=0, le=86400, allow_inf_nan=False)


class DeviceOut(BaseModel):
    """One accelerator, with its vendor's resource name. `missing` since when it or its node is not shown; a `lost`
    one is written off. `allocation` is told where the caller may see it."""

    id: str
    kind: str
    resource: str
    model: str
    memory: int
    simulated: bool
    busy: bool
    allocation: str | None
    missing: datetime | None = None
    lost: bool = False


class NodeOut(BaseModel):
    """One machine. CPU in cores as they may be promised, memory in bytes. `reason`, `since` and `by` tell why, since
    when and by whom it takes nothing new; `domain` is what its fast interconnect spans."""

    name: str
    cluster: str
    domain: str
    labels: dict[str, str]
    simulated: bool
    state: NodeState
    reason: str
    since: datetime | None
    by: str
    fenced_at: datetime | None
    cpu: float
    memory: int
    cpu_free: float
    memory_free: int
    devices_free: int
    devices: list[DeviceOut]

    @classmethod
    def of(cls, known: KnownNode, cores: float, holding: list[Allocation], may_tell: Told) -> Self:
        """A node of which so many cores may be promised, and what of it those who hold something have left."""
        node, holders = known.node, _holders(known.name, holding)
        cpu, memory = _promised(known.name, holding)
        devices = [_device(known, device, holders.get(device.id), may_tell) for device in node.devices]
        return cls(
            name=node.name,
            cluster=node.cluster,
            domain=node.domain,
            labels=dict(node.labels),
            simulated=node.simulated,
            state=known.state,
            reason=_reason(known),
            since=known.gone if known.gone is not None else known.since,
            by=known.by,
            fenced_at=known.fenced,
            cpu=cores,
            memory=node.memory,
            cpu_free=cores - cpu,
            memory_free=node.memory - memory,
            devices_free=sum(not device.busy and not device.missing for device in devices) if known.takes_new else 0,
            devices=devices,
        )


class NodesOut(BaseModel):
    """Machines. `problems` say, to administrators, what is wrong with the inventory: the rest may be old, or a part."""

    items: list[NodeOut]
    problems: list[str] = Field(default_factory=list)


def _reason(known: KnownNode) -> str:
    if known.lost:
        return "The inventory shows it no more: what was promised on it is revoked."
    if known.gone is not None:
        return "The inventory does not show it now."
    return known.reason


def _holders(name: str, holding: list[Allocation]) -> dict[str, Allocation]:
    return {
        device: one for one in holding for place in one.placements if place.node == name for device in place.devices
    }


def _promised(name: str, holding: list[Allocation]) -> tuple[float, int]:
    there = [one.resources for one in holding for place in one.placements if place.node == name]
    return math.fsum(one.cpu for one in there), sum(one.memory for one in there)


def _device(known: KnownNode, device: Device, holder: Allocation | None, may_tell: Told) -> DeviceOut:
    return DeviceOut(
        id=device.id,
        kind=device.kind,
        resource=device.resource,
        model=device.model,
        memory=device.memory,
        simulated=device.simulated,
        busy=holder is not None,
        allocation=holder.id if holder is not None and may_tell(holder) else None,
        missing=known.missing.get(device.id, known.gone),
        lost=known.lost or device.id in known.lost_devices,
    )
