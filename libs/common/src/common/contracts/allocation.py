"""How workloads ask train-svc's ledger for capacity, and what it answers."""

from __future__ import annotations

from typing import ClassVar, Literal

from common.contracts.shared import Placement, Resources
from common.kernel.events import EventData

Workload = Literal["job", "notebook", "replica"]


class AllocationRequested(EventData):
    """A workload asks; the id of the allocation is the asker's choice, so asking twice is asking once."""

    type: ClassVar[str] = "allocation.requested"
    id: str
    workload: str
    kind: Workload
    owner: str
    resources: Resources
    priority: int = 0


class AllocationGranted(EventData):
    """The promise of exactly these devices: one placement a gang member."""

    type: ClassVar[str] = "allocation.granted"
    id: str
    workload: str
    placements: tuple[Placement, ...]


class AllocationRefused(EventData):
    """It can never fit; `largest` says what would."""

    type: ClassVar[str] = "allocation.refused"
    id: str
    workload: str
    code: str
    reason: str
    largest: Resources | None = None


class AllocationPreempting(EventData):
    """The workload is asked to end for a more urgent one, within `grace` seconds."""

    type: ClassVar[str] = "allocation.preempting"
    id: str
    workload: str
    grace: float


class AllocationRevoked(EventData):
    """The promise is taken back: its node or device is lost."""

    type: ClassVar[str] = "allocation.revoked"
    id: str
    workload: str
    reason: str


class AllocationCancelled(EventData):
    """The asker no longer wants what it still waits for."""

    type: ClassVar[str] = "allocation.cancelled"
    id: str
    workload: str


class AllocationReleased(EventData):
    """The workload is gone, confirmed by the runtime: its devices are free."""

    type: ClassVar[str] = "allocation.released"
    id: str
    workload: str
