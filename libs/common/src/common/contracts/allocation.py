"""How workloads ask train-svc's ledger for capacity, and what it answers."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field

from common.contracts.shared import Placement, Resources
from common.kernel.events import EventData

Workload = Literal["job", "notebook", "replica"]
"""The `kind` of the workload, told in every event of an allocation so that nobody looks for what can't be theirs; None
where an earlier version told it."""


class AllocationRequested(EventData):
    """A workload asks; the id of the allocation is the asker's choice, so asking twice is asking once.

    `queue` is where it waits; without one, the first queue of the owner's `groups`, or the default one.
    `priority_class` names a priority that an administrator configured; `priority` counts where there is none. A
    `preemptible` one may be asked to end for a more urgent one once it has run for `min_run` seconds. `time_limit` is
    how many seconds it runs at most. Of those with one `anti_affinity` at most one is put on a node; nodes to `avoid`
    are used only where no other would do. What was preempted and asks again keeps its place by `since`, when it was
    first submitted.
    """

    type: ClassVar[str] = "allocation.requested"
    id: str
    workload: str
    kind: Workload
    owner: str
    resources: Resources
    priority: int = 0
    priority_class: str | None = None
    queue: str | None = None
    groups: tuple[str, ...] = ()
    preemptible: bool = False
    min_run: float = Field(default=0.0, ge=0)
    time_limit: float | None = Field(default=None, gt=0)
    anti_affinity: str | None = None
    avoid: tuple[str, ...] = ()
    since: datetime | None = None


class AllocationGranted(EventData):
    """The promise of exactly these devices: one placement a gang member."""

    type: ClassVar[str] = "allocation.granted"
    id: str
    workload: str
    placements: tuple[Placement, ...]
    kind: Workload | None = None


class AllocationRefused(EventData):
    """It can never fit; `largest` says what would."""

    type: ClassVar[str] = "allocation.refused"
    id: str
    workload: str
    code: str
    reason: str
    largest: Resources | None = None
    kind: Workload | None = None


class AllocationPreempting(EventData):
    """The workload is asked to end for a more urgent one, within `grace` seconds; `reason` says so in words.

    `for_workload` is who begins then, where the owner of both is the same. Where `moving`, nobody waits for what it
    holds, since its node is drained: another in its place may begin before it ends. What it holds stays its own until
    `allocation.released` is told.
    """

    type: ClassVar[str] = "allocation.preempting"
    id: str
    workload: str
    grace: float
    reason: str = ""
    for_workload: str | None = None
    moving: bool = False
    kind: Workload | None = None


class AllocationRevoked(EventData):
    """The promise is taken back: its node or device is lost, or (`preempted`) it was told to give way and its grace is
    over. What is left of the workload ends at once; what it holds is free once the runtime says that it is gone."""

    type: ClassVar[str] = "allocation.revoked"
    id: str
    workload: str
    reason: str
    preempted: bool = False
    kind: Workload | None = None


class AllocationConfirmed(EventData):
    """The owner of these allocations knows of them still: a heartbeat of the service `holder`, told again and again.

    `ids` are those that it has workloads for; an allocation that is in none for long is looked after, and taken back
    only when the runtime says that its workload is gone.
    """

    type: ClassVar[str] = "allocation.confirmed"
    holder: str
    ids: tuple[str, ...]


class AllocationCancelled(EventData):
    """The asker no longer wants what it still waits for."""

    type: ClassVar[str] = "allocation.cancelled"
    id: str
    workload: str
    kind: Workload | None = None


class AllocationReleased(EventData):
    """The workload is gone, confirmed by the runtime: its devices are free."""

    type: ClassVar[str] = "allocation.released"
    id: str
    workload: str
    kind: Workload | None = None
