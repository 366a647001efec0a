"""An allocation: the promise of certain devices to one workload, from asking to giving back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from common.contracts.allocation import AllocationRequested
from common.contracts.allocation import Workload as Kind
from common.contracts.shared import Placement, Resources
from common.kernel.states import Transitions
from train_svc.domain.asking import DEFAULT_QUEUE, member_of, selectors_of
from train_svc.domain.scheduling.values import Claim, Request, Running


class AllocationState(StrEnum):
    """Where an allocation stands. `granted`, `preempting` (told to end) and `revoked` (its node or device is lost) hold
    what was promised, until the runtime confirms that the workload is gone or its node is fenced."""

    WAITING = "waiting"
    GRANTED = "granted"
    PREEMPTING = "preempting"
    REVOKED = "revoked"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    RELEASED = "released"


HOLDING = (AllocationState.GRANTED, AllocationState.PREEMPTING, AllocationState.REVOKED)
"""The states that hold something."""

OPEN = (AllocationState.WAITING, *HOLDING)
"""The states that a plan follows from."""

TRANSITIONS = Transitions(
    "allocation",
    AllocationState.WAITING,
    {
        (AllocationState.WAITING, "grant"): AllocationState.GRANTED,
        (AllocationState.WAITING, "refuse"): AllocationState.REFUSED,
        (AllocationState.WAITING, "free"): AllocationState.CANCELLED,
        (AllocationState.GRANTED, "preempt"): AllocationState.PREEMPTING,
        (AllocationState.GRANTED, "revoke"): AllocationState.REVOKED,
        (AllocationState.PREEMPTING, "revoke"): AllocationState.REVOKED,
        (AllocationState.GRANTED, "free"): AllocationState.RELEASED,
        (AllocationState.PREEMPTING, "free"): AllocationState.RELEASED,
        (AllocationState.REVOKED, "free"): AllocationState.RELEASED,
    },
    final=[AllocationState.REFUSED, AllocationState.CANCELLED, AllocationState.RELEASED],
)


@dataclass(frozen=True)
class Allocation:
    """One allocation. `number` is its place in the order of arrival.

    `since` is when its work was first submitted, where that was before it asked. `claim` is the capacity that is kept
    for one that waits for others to end; `ends_for` the one for which it was told to end, `told_at` and within `grace`
    seconds. `min_run` and `time_limit` are seconds.
    """

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
    queue: str = DEFAULT_QUEUE
    priority_class: str | None = None
    preemptible: bool = False
    min_run: float = 0.0
    time_limit: float | None = None
    anti_affinity: str | None = None
    avoid: tuple[str, ...] = ()
    since: datetime | None = None
    claim: Claim | None = None
    ends_for: str | None = None
    told_at: datetime | None = None
    grace: float = 0.0
    revoked_at: datetime | None = None

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

    @property
    def holds(self) -> bool:
        """Whether what was promised is still its own."""
        return self.state in HOLDING

    @property
    def ends_by(self) -> datetime | None:
        """When the grace is over of one that was told to give way."""
        return None if self.told_at is None else self.told_at + timedelta(seconds=self.grace)

    def told(self, now: datetime, grace: float, why: str, ends_for: str | None = None) -> Allocation:
        """Told to give way within `grace` seconds. Raises Conflict (`illegal_state`)."""
        return self.moved("preempt", detail=why, ends_for=ends_for, told_at=now, grace=grace)

    def revoked(self, now: datetime, why: str) -> Allocation:
        """Taken back; it holds what it holds until its workload is gone. Raises Conflict (`illegal_state`)."""
        return self.moved("revoke", detail=why, revoked_at=now)

    def as_request(self) -> Request:
        """As the planner sees one that waits."""
        return Request(
            self.id,
            self.queue,
            self.owner,
            member_of(self.resources),
            (self.since or self.created_at).timestamp(),
            gang=self.resources.nodes,
            priority=self.priority,
            selectors=selectors_of(self.resources),
            anti_affinity=self.anti_affinity,
            avoid=frozenset(self.avoid),
            preemptible=self.preemptible,
            min_run=self.min_run,
            time_limit=self.time_limit,
        )

    def as_running(self) -> Running:
        """As the planner sees one that holds something."""
        started = (self.granted_at or self.created_at).timestamp()
        return Running(self.as_request(), self.placements, started, ending=self.state != AllocationState.GRANTED)


def asked_for(ask: AllocationRequested, queue: str, priority: int, number: int, now: datetime) -> Allocation:
    """A new allocation that waits."""
    return Allocation(
        ask.id,
        ask.workload,
        ask.kind,
        ask.owner,
        ask.resources,
        now,
        now,
        number=number,
        priority=priority,
        queue=queue,
        priority_class=ask.priority_class,
        preemptible=ask.preemptible,
        min_run=ask.min_run,
        time_limit=ask.time_limit,
        anti_affinity=ask.anti_affinity,
        avoid=ask.avoid,
        since=ask.since,
    )
