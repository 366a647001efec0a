"""Allocations over HTTP, and why one waits."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import asdict
from datetime import datetime
from typing import Self

from pydantic import BaseModel

from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.domain.reasons import Reasons, sentences
from train_svc.schemas.shared import PlacementOut, ResourcesOut


class LackOut(BaseModel):
    """What one of the nodes that would do best lacks: CPU in cores, memory in bytes, accelerators by the piece."""

    node: str
    lacks: dict[str, float]


class LimitOut(BaseModel):
    """A quota that is in the way: of `limit`, `free` is left where `asked` is wanted."""

    account: str
    resource: str
    limit: float
    free: float
    asked: float


class ReasonsOut(BaseModel):
    """Why it waits. `position` counts from 1; at 0 its capacity is kept for it already, until `holders` are gone.

    `fitting` of `wanted` nodes have room now. `holders` would have to end, `kept_for` have a reservation in the way; of
    what the caller may not see there is only a number. `start` is when it begins at the latest, null where nobody
    knows. `sentences` say the same in words.
    """

    position: int
    queue: str
    wanted: int
    fitting: int
    lacks: list[LackOut]
    quotas: list[LimitOut]
    kept_for: list[str]
    kept_for_others: int
    holders: list[str]
    other_holders: int
    start: datetime | None
    sentences: list[str]

    @classmethod
    def of(cls, found: Reasons) -> Self:
        """As it is told."""
        return cls.model_validate({**asdict(found), "sentences": sentences(found)})


class GivingWayOut(BaseModel):
    """It was told to end, at `since`, and has until `until` to save what it needs; `reason` says why in words.

    `begins` is the job (or other workload) that begins then, where the caller may see it; null where not, or where a
    node is drained. One that is `overdue` is ended at once. `sentences` say the same in words.
    """

    since: datetime
    until: datetime
    reason: str
    begins: str | None
    overdue: bool
    sentences: list[str]


class AllocationOut(BaseModel):
    """An allocation: waiting, or granted with one placement a node. `position` counts from 1 while it waits.

    `confirmed_at` is when its owner last told that it knows of it; a `silent` one was not confirmed for long, and is
    being looked after. `waiting` says why it waits, `giving_way` until when it may end for others; in a list both are
    left out.
    """

    id: str
    name: str
    owner: str
    state: AllocationState
    version: int
    workload: str
    kind: str
    queue: str
    priority: int
    preemptible: bool
    resources: ResourcesOut
    placements: list[PlacementOut]
    position: int | None = None
    waiting: ReasonsOut | None = None
    giving_way: GivingWayOut | None = None
    detail: str
    created_at: datetime
    updated_at: datetime
    granted_at: datetime | None
    ended_at: datetime | None
    confirmed_at: datetime | None = None
    silent: bool = False

    @classmethod
    def of(
        cls, allocation: Allocation, position: int | None = None, simulated: Container[tuple[str, str]] = ()
    ) -> Self:
        """As it is told; `simulated` are the devices, by node, that are declared only."""
        return cls(
            id=allocation.id,
            name=allocation.name,
            owner=allocation.owner,
            state=allocation.state,
            version=allocation.version,
            workload=allocation.workload,
            kind=allocation.kind,
            queue=allocation.queue,
            priority=allocation.priority,
            preemptible=allocation.preemptible,
            resources=ResourcesOut(spec=None, **allocation.resources.model_dump()),
            placements=[PlacementOut.of(one, simulated) for one in allocation.placements],
            position=position,
            detail=allocation.detail,
            created_at=allocation.created_at,
            updated_at=allocation.updated_at,
            granted_at=allocation.granted_at,
            ended_at=allocation.ended_at,
        )
