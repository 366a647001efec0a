"""What train-svc tells of jobs."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from common.kernel.events import EventData


class EndReason(StrEnum):
    """Why an attempt ended; the job's final state follows from it."""

    COMPLETED = "completed"
    EXIT_CODE = "exit_code"
    OUT_OF_MEMORY = "out_of_memory"
    STORAGE_FULL = "storage_full"
    STOPPED_BY_USER = "stopped_by_user"
    TIME_LIMIT = "time_limit"
    STAGING_FAILED = "staging_failed"
    LAUNCH_FAILED = "launch_failed"
    COLLECT_FAILED = "collect_failed"
    LOST = "lost"
    DEVICE_LOST = "device_lost"
    PREEMPTED = "preempted"


class JobEvent(EventData):
    """What every event of a job carries."""

    id: str
    name: str
    owner: str
    attempt: int = 0
    algorithm_id: str | None = None
    dataset_id: str | None = None
    formatted_set_id: str | None = None
    validation_dataset_id: str | None = None
    validation_set_id: str | None = None


class JobQueued(JobEvent):
    """The job waits for capacity."""

    type: ClassVar[str] = "job.queued"


class JobStarted(JobEvent):
    """The attempt's process runs."""

    type: ClassVar[str] = "job.started"


class JobEnded(JobEvent):
    """What every end of a job carries; `exit_code` where a process ended by itself."""

    reason: EndReason
    detail: str = ""
    exit_code: int | None = None


class JobSucceeded(JobEnded):
    """The attempt ended well and its results are kept."""

    type: ClassVar[str] = "job.succeeded"
    model_id: str | None = None


class JobFailed(JobEnded):
    """The attempt ended badly."""

    type: ClassVar[str] = "job.failed"


class JobStopped(JobEnded):
    """A person stopped it."""

    type: ClassVar[str] = "job.stopped"


class JobTimedOut(JobEnded):
    """It ran into its time limit."""

    type: ClassVar[str] = "job.timed_out"


class JobPreempted(JobEvent):
    """It gave way to a more urgent one and will run again."""

    type: ClassVar[str] = "job.preempted"


class JobDeleted(EventData):
    """The job is gone but for its lineage."""

    type: ClassVar[str] = "job.deleted"
    id: str
