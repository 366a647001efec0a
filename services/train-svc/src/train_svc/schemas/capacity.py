"""Allocations, nodes and queues over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel

from common.contracts.shared import Placement
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.schemas.shared import ResourcesOut


class AllocationOut(BaseModel):
    """An allocation: waiting, or granted with one placement a node. `position` counts from 1 while it waits."""

    id: str
    name: str
    owner: str
    state: AllocationState
    version: int
    workload: str
    kind: str
    resources: ResourcesOut
    placements: list[Placement]
    position: int | None = None
    detail: str
    created_at: datetime
    updated_at: datetime
    granted_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(cls, allocation: Allocation, position: int | None = None) -> Self:
        """As it is told."""
        return cls(
            id=allocation.id,
            name=allocation.name,
            owner=allocation.owner,
            state=allocation.state,
            version=allocation.version,
            workload=allocation.workload,
            kind=allocation.kind,
            resources=ResourcesOut(spec=None, **allocation.resources.model_dump()),
            placements=list(allocation.placements),
            position=position,
            detail=allocation.detail,
            created_at=allocation.created_at,
            updated_at=allocation.updated_at,
            granted_at=allocation.granted_at,
            ended_at=allocation.ended_at,
        )


class WaitingOut(BaseModel):
    """One place in a queue. What others wait for is told without saying whose it is."""

    position: int
    kind: str
    resources: ResourcesOut
    allocation: str | None
    workload: str | None
    created_at: datetime


class QueueOut(BaseModel):
    """A queue: first come, first served."""

    id: Literal["default"] = "default"
    granted: int
    waiting: list[WaitingOut]


class QueuesOut(BaseModel):
    """All queues."""

    items: list[QueueOut]
