"""An allocation: the promise of certain devices to one workload, from asking to giving back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.contracts.allocation import Workload as Kind
from common.contracts.shared import Placement, Resources
from common.kernel.states import Transitions
from train_svc.domain.scheduling import Ask, Held


class AllocationState(StrEnum):
    """Where an allocation stands; only `granted` holds anything."""

    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    RELEASED = "released"


TRANSITIONS = Transitions(
    "allocation",
    AllocationState.WAITING,
    {
        (AllocationState.WAITING, "grant"): AllocationState.GRANTED,
        (AllocationState.WAITING, "refuse"): AllocationState.REFUSED,
        (AllocationState.WAITING, "free"): AllocationState.CANCELLED,
        (AllocationState.GRANTED, "free"): AllocationState.RELEASED,
    },
    final=[AllocationState.REFUSED, AllocationState.CANCELLED, AllocationState.RELEASED],
)


@dataclass(frozen=True)
class Allocation:
    """One allocation. `number` is its place in the order of arrival."""

    id: str
    workload: str
    kind: Kind
    owner: str
    resources: Resources
    created_at: datetime
    updated_at: datetime
    number: int = 0
    priority: int = 0
    state: AllocationState = AllocationState.WAITING
    version: int = 1
    placements: tuple[Placement, ...] = ()
    detail: str = ""
    granted_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def name(self) -> str:
        """What it is called in lists: its workload."""
        return self.workload

    def moved(self, verb: str, **changes: Any) -> Allocation:
        """After that verb. Raises Conflict (`illegal_state`)."""
        return replace(self, state=TRANSITIONS.move(self.state, verb), **changes)

    @property
    def ended(self) -> bool:
        """Whether it neither waits nor holds anything."""
        return self.state in TRANSITIONS.final

    def as_ask(self) -> Ask:
        """As the scheduler sees one that waits."""
        return Ask(self.id, self.number, self.resources)

    def as_held(self) -> Held:
        """As the scheduler sees one that was granted."""
        return Held(self.id, self.resources, self.placements)
