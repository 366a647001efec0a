"""A workload: where it stands on its way, and why it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.contracts.allocation import AllocationRequested
from common.contracts.allocation import Workload as Kind
from common.contracts.job import EndReason
from common.contracts.shared import Placement
from common.kernel.states import Transitions
from common.ports.runtime import Observation, WorkloadState
from common.workloads.plan import Plan


class Phase(StrEnum):
    """Where a workload stands on its way."""

    WAITING = "waiting"
    PREPARING = "preparing"
    RUNNING = "running"
    COLLECTING = "collecting"
    RELEASING = "releasing"
    ENDED = "ended"


TRANSITIONS = Transitions(
    "workload",
    Phase.WAITING,
    {
        (Phase.WAITING, "grant"): Phase.PREPARING,
        (Phase.WAITING, "abandon"): Phase.ENDED,
        (Phase.PREPARING, "launch"): Phase.RUNNING,
        (Phase.PREPARING, "abandon"): Phase.RELEASING,
        (Phase.RUNNING, "exit"): Phase.COLLECTING,
        (Phase.COLLECTING, "collect"): Phase.RELEASING,
        (Phase.RELEASING, "release"): Phase.ENDED,
    },
    final=[Phase.ENDED],
)


@dataclass(frozen=True)
class StopRequest:
    """Somebody wants it to end: why (`detail` in words), and how many seconds it has between SIGTERM and SIGKILL."""

    reason: EndReason
    grace: float = 10.0
    detail: str = ""


@dataclass(frozen=True)
class Asking:
    """How a workload asks for its capacity, beyond the amounts: see `AllocationRequested`, whose fields these are."""

    priority: int = 0
    priority_class: str | None = None
    queue: str | None = None
    groups: tuple[str, ...] = ()
    preemptible: bool = False
    min_run: float = 0.0
    time_limit: float | None = None
    anti_affinity: str | None = None
    avoid: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True)
class Outcome:
    """Why it ended. `exit_code` where a process ended by itself."""

    reason: EndReason
    detail: str = ""
    exit_code: int | None = None


@dataclass(frozen=True)
class Workload:
    """One workload of one service. `subject` is what it runs for: a job, a project or a service.

    `meeting` is where the members of a gang find the first of them (host:port, once it is drawn).
    `progress` (0–1) and `note` say how preparing stands and what it waits for; `result` is what collecting gave.
    """

    id: str
    kind: Kind
    subject: str
    owner: str
    plan: Plan
    created_at: datetime
    updated_at: datetime
    phase: Phase = Phase.WAITING
    version: int = 1
    placements: tuple[Placement, ...] = ()
    handle: dict[str, Any] | None = None
    stop: StopRequest | None = None
    outcome: Outcome | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    address: str | None = None
    meeting: str = ""
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    progress: float = 0.0
    note: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    def moved(self, verb: str, **changes: Any) -> Workload:
        """After that verb. Raises Conflict where the table does not allow it."""
        return replace(self, phase=TRANSITIONS.move(self.phase, verb), **changes)

    @property
    def allocation(self) -> str:
        """The id of its allocation: derived, so that asking twice is asking once."""
        return f"alloc-{self.id}"


def gives_back(before: Workload, after: Workload) -> bool:
    """Whether what it was promised is free from this turn on: the runtime has said that nothing of it runs any more, or
    nothing of it ever ran. Its results may still be on their way to the file store, which takes no device."""
    if after.phase == Phase.COLLECTING:
        return before.phase == Phase.RUNNING
    return after.phase == Phase.ENDED and after.handle is None


_OF_THE_NODE = (EndReason.LAUNCH_FAILED, EndReason.LOST, EndReason.DEVICE_LOST)
"""Ends that may have been the fault of the machine."""


def failing_nodes(workloads: Iterable[Workload]) -> tuple[str, ...]:
    """Where these failed for reasons that may be the machine's: the next one had better be put elsewhere."""
    failed = [one for one in workloads if one.outcome is not None and one.outcome.reason in _OF_THE_NODE]
    return tuple(sorted({placement.node for one in failed for placement in one.placements}))


def ask(workload: Workload, asking: Asking) -> AllocationRequested:
    """What the ledger is told of a workload that wants to run."""
    return AllocationRequested(
        id=workload.allocation,
        workload=workload.id,
        kind=workload.kind,
        owner=workload.owner,
        resources=workload.plan.resources,
        **asdict(asking),
    )


_ENDS = {
    "stopped": EndReason.STOPPED_BY_USER,
    "time_limit": EndReason.TIME_LIMIT,
    "out_of_memory": EndReason.OUT_OF_MEMORY,
    "storage_full": EndReason.STORAGE_FULL,
    "launch_failed": EndReason.LAUNCH_FAILED,
}


def outcome_of(workload: Workload, seen: Observation) -> Outcome:
    """Why a workload that runs no more ended. A stop that was asked for wins over how the process took it.

    One that was to give way is to go on later, however it ended: code that saved a checkpoint often ends with 0, and
    half a training must never pass for a whole one.
    """
    if seen.state in (WorkloadState.LOST, WorkloadState.GONE) and workload.stop is not None and _gives_way(workload):
        return Outcome(EndReason.PREEMPTED, workload.stop.detail or seen.detail)
    if seen.state in (WorkloadState.LOST, WorkloadState.GONE):
        return Outcome(
            EndReason.LOST, seen.detail or "Its supervisor vanished: the machine was restarted, or it was killed."
        )
    if seen.cause in ("exit", None) and seen.exit_code == 0:
        return Outcome(EndReason.COMPLETED, exit_code=0)
    if seen.cause == "stopped" and workload.stop is not None:
        return Outcome(workload.stop.reason, workload.stop.detail or seen.detail, seen.exit_code)
    reason = _ENDS.get(seen.cause or "", EndReason.EXIT_CODE)
    detail = seen.detail or (f"It ended with exit code {seen.exit_code}." if reason == EndReason.EXIT_CODE else "")
    return Outcome(reason, detail, seen.exit_code)


def _gives_way(workload: Workload) -> bool:
    return workload.stop is not None and workload.stop.reason == EndReason.PREEMPTED
