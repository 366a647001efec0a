"""How a workload gives way to another: since when, until when, and for whom, as far as who asks may see that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from train_svc.domain.allocation import Allocation, AllocationState


@dataclass(frozen=True)
class GivingWay:
    """One that was told to end, at `since`, and has until `until` to save what it needs.

    `begins` is what begins then, where that may be seen; None where it may not, or where nothing begins for it. One
    whose grace is over is `overdue`: it is ended at once.
    """

    since: datetime
    until: datetime
    reason: str
    begins: str | None
    overdue: bool
    sentences: tuple[str, ...]


def giving_way(one: Allocation, begins: str | None) -> GivingWay | None:
    """How it gives way; None where it does not."""
    if one.told_at is None or one.ends_by is None or one.state not in (AllocationState.PREEMPTING, _REVOKED):
        return None
    overdue = one.state == _REVOKED
    said = (_when(one.told_at, one.ends_by, overdue), _for_whom(one, begins), *_after(one))
    return GivingWay(one.told_at, one.ends_by, one.detail, begins, overdue, said)


_REVOKED = AllocationState.REVOKED


def _when(since: datetime, until: datetime, overdue: bool) -> str:
    if overdue:
        return f"It was to give way by {until:%Y-%m-%d %H:%M:%S} UTC and did not: it is being ended."
    return f"It gives way since {since:%Y-%m-%d %H:%M:%S} UTC: it has until {until:%H:%M:%S} to save what it needs."


def _for_whom(one: Allocation, begins: str | None) -> str:
    if one.ends_for is None:
        return one.detail
    return f"It ends so that {begins} can begin." if begins else "It ends so that more urgent work of others can begin."


def _after(one: Allocation) -> tuple[str, ...]:
    if one.kind != "job":
        return ()
    return (f"Then it waits in its place in the queue {one.queue} again, and goes on from its checkpoints.",)
