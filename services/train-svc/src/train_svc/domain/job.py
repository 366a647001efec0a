"""A job: one piece of work to run, its attempts, where it stands and why it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.dataset import DatasetSnapshot, FormattedSetFacts
from common.contracts.job import EndReason
from common.contracts.shared import Resources
from common.kernel.errors import Conflict
from common.kernel.states import Transitions
from train_svc.domain.errors import no_attempt
from train_svc.domain.materials import Material, SplitRequest, ValidationRequest
from train_svc.domain.mounts import Mounted, MountRequest


class JobState(StrEnum):
    """Where a job stands. `queued` waits for capacity; `preparing` has it and is being staged."""

    DRAFT = "draft"
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed_out"


ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.STOPPED, JobState.TIMED_OUT)


def _moves() -> dict[tuple[JobState, str], JobState]:
    moves = {
        (JobState.DRAFT, "start"): JobState.QUEUED,
        (JobState.QUEUED, "grant"): JobState.PREPARING,
        (JobState.PREPARING, "run"): JobState.RUNNING,
        (JobState.PREPARING, "stop"): JobState.STOPPING,
        (JobState.RUNNING, "stop"): JobState.STOPPING,
    }
    for state in (JobState.QUEUED, JobState.PREPARING, JobState.RUNNING):
        moves[state, "preempt"] = JobState.QUEUED
    for state in (JobState.QUEUED, JobState.PREPARING, JobState.RUNNING, JobState.STOPPING):
        moves[state, "fail"] = JobState.FAILED
    for state in (JobState.QUEUED, JobState.PREPARING, JobState.RUNNING, JobState.STOPPING):
        moves[state, "stopped"] = JobState.STOPPED
    for state in (JobState.PREPARING, JobState.RUNNING, JobState.STOPPING):
        moves[state, "succeed"] = JobState.SUCCEEDED
        moves[state, "time out"] = JobState.TIMED_OUT
    for state in ENDED:
        moves[state, "start"] = JobState.QUEUED
    return moves


TRANSITIONS = Transitions("job", JobState.DRAFT, _moves(), final=ENDED)

_VERBS = {
    EndReason.COMPLETED: "succeed",
    EndReason.STOPPED_BY_USER: "stopped",
    EndReason.TIME_LIMIT: "time out",
}


def ending_verb(reason: EndReason) -> str:
    """The verb that ends a job for that reason; every reason that is no success, stop or time-out is a failure."""
    return _VERBS.get(reason, "fail")


def final_state(reason: EndReason) -> JobState:
    """The state in which a job ends for that reason."""
    return TRANSITIONS.move(JobState.RUNNING, ending_verb(reason))


@dataclass(frozen=True)
class ResourceRequest:
    """What was asked for: a named spec, or amounts. `memory` in bytes, 0 for no demand stated.

    Only nodes with all labels in `selectors`, and of `cluster` where one is named, will do.
    """

    spec: str | None = None
    cpu: float | None = None
    memory: int = 0
    accelerator: str | None = None
    model: str | None = None
    count: int | None = None
    nodes: int = 1
    selectors: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None


@dataclass(frozen=True)
class JobRequest:
    """Everything that a person says of a job, which trains on `dataset_id` or else on `formatted_set_id`.

    `time_limit_seconds` None takes the platform's (seed 001: 72 h). `split` None takes the usual one where a dataset
    has no test set of its own and nothing else is named to validate on; with `whole`, nothing is held out. `queue` None
    takes that of a group of the asker, or the default one; a `preemptible` job may be told to end for a more urgent
    one, and begins again with its checkpoints.
    """

    name: str
    algorithm_id: str
    dataset_id: str = ""
    description: str = ""
    split: SplitRequest | None = None
    whole: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    resources: ResourceRequest = field(default_factory=ResourceRequest)
    time_limit_seconds: float | None = None
    priority: int = 0
    queue: str | None = None
    priority_class: str | None = None
    preemptible: bool = True
    formatted_set_id: str | None = None
    validation: ValidationRequest | None = None
    mounts: tuple[MountRequest, ...] = ()
    stream: bool = False


@dataclass(frozen=True)
class Terms:
    """What a request came to once it was checked: exactly what an attempt is started with.

    `parameters` has every declared one with its value; `notes` tell what the asker should know. `dataset` has the
    version that is trained on, of which `formatted` may be a set.
    """

    algorithm: AlgorithmSnapshot
    dataset: DatasetSnapshot
    split: SplitRequest | None
    parameters: dict[str, Any]
    resources: Resources
    time_limit_seconds: float
    notes: tuple[str, ...] = ()
    queue: str = "default"
    formatted: FormattedSetFacts | None = None
    validation: Material | None = None
    mounts: tuple[Mounted, ...] = ()

    @property
    def data(self) -> Material:
        """What it trains on."""
        return Material(self.dataset, self.formatted)

    @property
    def uses(self) -> dict[str, str | None]:
        """The ids of what it trains and validates on."""
        other = self.validation
        return {
            "dataset_id": self.dataset.id,
            "formatted_set_id": self.formatted.id if self.formatted is not None else None,
            "validation_dataset_id": other.dataset.id if other is not None else None,
            "validation_set_id": other.formatted.id if other is not None and other.formatted is not None else None,
        }


@dataclass(frozen=True)
class Job:
    """One job. `attempts` are the ids of its workloads in order: the last is the present one.

    `queued_at` is when it was started: its place in the queue, which it keeps where an attempt gives way to others.
    """

    id: str
    owner: str
    request: JobRequest
    terms: Terms
    created_at: datetime
    updated_at: datetime
    state: JobState = JobState.DRAFT
    version: int = 1
    attempts: tuple[str, ...] = ()
    queued_at: datetime | None = None
    reason: EndReason | None = None
    detail: str = ""
    exit_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    evaluation: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    model_id: str | None = None
    deleted: bool = False

    @property
    def name(self) -> str:
        """Its display name."""
        return self.request.name

    @property
    def attempt(self) -> int:
        """The number of the present attempt; 0 for a draft."""
        return len(self.attempts)

    def attempt_id(self, number: int | None = None) -> str:
        """The id of that attempt, of the present one without a number. Raises NotFound (`attempt_not_found`)."""
        wanted = self.attempt if number is None else number
        if not 1 <= wanted <= self.attempt:
            raise no_attempt(self.id, number)
        return self.attempts[wanted - 1]

    def moved(self, verb: str, **changes: Any) -> Job:
        """After that verb. Raises Conflict (`illegal_state`)."""
        return replace(self, state=TRANSITIONS.move(self.state, verb), **changes)

    def begun(self, attempt: str, terms: Terms, now: datetime) -> Job:
        """Started (again), with a new attempt. What the attempt before came to stays readable with that attempt."""
        return self.moved(
            "start",
            attempts=(*self.attempts, attempt),
            terms=terms,
            queued_at=now,
            reason=None,
            detail="",
            exit_code=None,
            started_at=None,
            ended_at=None,
            evaluation=None,
            notes=(),
            model_id=None,
        )

    def gave_way(self, attempt: str) -> Job:
        """In its place in the queue again, with a new attempt that goes on from the checkpoints of the one before."""
        return self.moved("preempt", attempts=(*self.attempts, attempt), started_at=None)

    def removed(self) -> Job:
        """Deleted: a tombstone with everything that lineage may ask for. Raises Conflict (`job_running`)."""
        if self.state not in (JobState.DRAFT, *ENDED):
            raise Conflict("job_running", f"The job is {self.state}. Stop it first, then delete it.")
        return replace(self, deleted=True)
