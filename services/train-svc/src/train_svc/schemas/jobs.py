"""Jobs over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from common.contracts.job import EndReason
from common.contracts.shared import Visibility
from common.kernel.quantities import parse_bytes
from train_svc.domain.job import Job, JobRequest, JobState, ResourceRequest
from train_svc.schemas.capacity import GivingWayOut, ReasonsOut
from train_svc.schemas.materials import (
    DatasetNamed,
    SetNamed,
    SplitIn,
    SplitOut,
    ValidationIn,
    ValidationOut,
    dataset_named,
    set_named,
    validation_out,
)
from train_svc.schemas.mounts import MountIn, MountOut, mounts_out
from train_svc.schemas.shared import Asked, ResourcesOut

Memory = Annotated[int, BeforeValidator(parse_bytes), Field(ge=0, description="Bytes, or such as 512Mi, 2Gi")]

JOBS: list[Any] = [
    {"name": "digits", "algorithm_id": "algo-…", "dataset_id": "ds-…", "split": {"ratio": 0.9, "seed": 1}},
    {
        "name": "digits on 80 %",
        "algorithm_id": "algo-…",
        "formatted_set_id": "set-…",
        "validation": {"formatted_set_id": "set-…"},
    },
    {
        "name": "judged elsewhere",
        "algorithm_id": "algo-…",
        "dataset_id": "ds-…",
        "validation": {"dataset_id": "ds-…", "version": 2, "part": "test"},
    },
]


class ResourcesIn(Asked):
    """A named spec (`small`, `medium`, `large` …), or amounts a node; on nodes with all labels in `selectors`, of
    `cluster` where one is named. `accelerator` is a kind (`gpu`, `npu` …) or its vendor's name (`nvidia.com/gpu`)."""

    spec: str | None = Field(default=None, max_length=40)
    cpu: float | None = Field(default=None, allow_inf_nan=False)
    memory: Memory = 0
    accelerator: str | None = Field(default=None, max_length=128)
    model: str | None = Field(default=None, max_length=100)
    count: int | None = Field(default=None, le=1_000_000)
    nodes: int = Field(default=1, le=1_000_000)
    selectors: dict[str, str] = Field(default_factory=dict)
    cluster: str | None = Field(default=None, max_length=253)

    def asked(self) -> ResourceRequest:
        """As the domain has it."""
        return ResourceRequest(**self.model_dump())


Value = bool | int | float | str | None


class JobIn(Asked):
    """A job to make, from a dataset or from a formatted set. With `start` false it stays a draft."""

    model_config = ConfigDict(json_schema_extra={"examples": JOBS})

    name: str
    description: str = ""
    algorithm_id: str = Field(max_length=80)
    dataset_id: str | None = Field(default=None, max_length=80)
    formatted_set_id: str | None = Field(default=None, max_length=80, description="Instead of a dataset_id")
    validation: ValidationIn | None = None
    dataset_after: int | None = Field(default=None, description="The dataset's version that was seen last")
    algorithm_after: int | None = Field(default=None, description="The algorithm's version that was seen last")
    split: SplitIn | None = Field(
        default=None, description="Of a dataset 0.8 unless given, or unless a validation is; null trains on all of it"
    )
    parameters: dict[str, Value] = Field(default_factory=dict, max_length=200)
    environment: dict[str, str] = Field(default_factory=dict, max_length=200)
    resources: ResourcesIn = Field(default_factory=ResourcesIn)
    time_limit_seconds: float | None = None
    priority: int = Field(default=0, ge=-1000, le=1000)
    queue: str | None = Field(default=None, max_length=63, description="One of `GET /queues`; else your group's")
    priority_class: str | None = Field(default=None, max_length=63, description="A priority that has a name here")
    preemptible: bool = Field(default=True, description="It may be told to end for a more urgent one, and comes back")
    mounts: list[MountIn] = Field(default_factory=list, max_length=100, description="Sources to mount as they are")
    stream: bool = Field(default=False, description="Begin while the shards of a WebDataset set still arrive")
    start: bool = True

    def asked(self) -> JobRequest:
        """As the domain has it."""
        return JobRequest(
            name=self.name,
            algorithm_id=self.algorithm_id,
            dataset_id=self.dataset_id or "",
            formatted_set_id=self.formatted_set_id,
            validation=self.validation.asked() if self.validation else None,
            description=self.description,
            split=self.split.asked() if self.split else None,
            whole="split" in self.model_fields_set and self.split is None,
            parameters=dict(self.parameters),
            environment=dict(self.environment),
            resources=self.resources.asked(),
            time_limit_seconds=self.time_limit_seconds,
            priority=self.priority,
            queue=self.queue,
            priority_class=self.priority_class,
            preemptible=self.preemptible,
            stream=self.stream,
            mounts=tuple(mount.asked() for mount in self.mounts),
        )


class JobPatch(Asked):
    """What to change: anything of a draft, name and description of any job. What is left out stays; a dataset takes the
    place of a formatted set, and the other way round."""

    name: str | None = None
    description: str | None = None
    algorithm_id: str | None = Field(default=None, max_length=80)
    dataset_id: str | None = Field(default=None, max_length=80)
    formatted_set_id: str | None = Field(default=None, max_length=80)
    validation: ValidationIn | None = None
    dataset_after: int | None = None
    algorithm_after: int | None = None
    split: SplitIn | None = None
    parameters: dict[str, Value] | None = Field(default=None, max_length=200)
    environment: dict[str, str] | None = Field(default=None, max_length=200)
    resources: ResourcesIn | None = None
    time_limit_seconds: float | None = None
    priority: int | None = Field(default=None, ge=-1000, le=1000)
    queue: str | None = Field(default=None, max_length=63)
    priority_class: str | None = Field(default=None, max_length=63)
    preemptible: bool | None = None
    stream: bool | None = None
    mounts: list[MountIn] | None = Field(default=None, max_length=100)

    def changes(self) -> dict[str, Any]:
        """The fields to change, as the domain has them. Null takes away a split (it trains on all), a validation or a
        time limit."""
        given = self.model_fields_set - {"dataset_after", "algorithm_after"}
        nullable = {"split", "validation", "time_limit_seconds", "queue", "priority_class"}
        values = {name: getattr(self, name) for name in given}
        changes = {
            name: value.asked() if isinstance(value, SplitIn | ResourcesIn | ValidationIn) else value
            for name, value in values.items()
            if value is not None or name in nullable
        }
        if self.mounts is not None:
            changes["mounts"] = tuple(mount.asked() for mount in self.mounts)
        if "dataset_id" in changes or "formatted_set_id" in changes:
            changes = {"dataset_id": "", "formatted_set_id": None, **changes}
        return {**changes, "whole": changes["split"] is None} if "split" in changes else changes


class AlgorithmNamed(BaseModel):
    """The algorithm that a job runs, by revision."""

    id: str
    name: str
    revision: int


class JobOut(BaseModel):
    """A job, with everything that it was started with. `progress` (0 to 1) is that of being prepared; `waiting` says
    why it waits, and `giving_way` until when it may end for others, where one job is asked for."""

    id: str
    name: str
    description: str
    owner: str
    state: JobState
    version: int
    visibility: Visibility = Visibility.PRIVATE
    purpose: str
    reason: EndReason | None
    detail: str
    exit_code: int | None
    attempt: int
    algorithm: AlgorithmNamed
    dataset: DatasetNamed
    formatted_set: SetNamed | None = None
    validation: ValidationOut | None = None
    split: SplitOut | None
    parameters: dict[str, Any]
    environment: dict[str, str]
    resources: ResourcesOut
    time_limit_seconds: float
    priority: int
    queue: str
    priority_class: str | None
    preemptible: bool
    mounts: list[MountOut] = []
    stream: bool = False
    progress: float | None
    note: str
    waiting: ReasonsOut | None = None
    giving_way: GivingWayOut | None = None
    metrics: dict[str, float]
    evaluation: dict[str, Any] | None
    model_id: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @classmethod
    def of(
        cls, job: Job, metrics: dict[str, float] | None = None, progress: float | None = None, note: str = ""
    ) -> Self:
        """As it is told, with what is known of it at this moment."""
        terms, request = job.terms, job.request
        return cls(
            id=job.id,
            name=job.name,
            description=request.description,
            owner=job.owner,
            state=job.state,
            version=job.version,
            purpose=terms.algorithm.purpose,
            reason=job.reason,
            detail=job.detail,
            exit_code=job.exit_code,
            attempt=job.attempt,
            algorithm=AlgorithmNamed(
                id=terms.algorithm.id, name=terms.algorithm.name, revision=terms.algorithm.revision
            ),
            dataset=dataset_named(terms.data),
            formatted_set=set_named(terms.data),
            validation=validation_out(terms.validation),
            split=SplitOut(ratio=terms.split.ratio, seed=terms.split.seed) if terms.split else None,
            parameters=terms.parameters,
            environment=request.environment,
            resources=ResourcesOut(spec=request.resources.spec, **terms.resources.model_dump()),
            time_limit_seconds=terms.time_limit_seconds,
            priority=request.priority,
            queue=terms.queue,
            priority_class=request.priority_class,
            preemptible=request.preemptible,
            mounts=mounts_out(terms.mounts),
            stream=request.stream,
            progress=progress,
            note=" ".join((*terms.notes, *job.notes, *([note] if note else []))),
            metrics=metrics or {},
            evaluation=job.evaluation,
            model_id=job.model_id,
            created_at=job.created_at,
            updated_at=job.updated_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
        )


class FileOut(BaseModel):
    """One file of results or of a model. `size` in bytes."""

    path: str
    size: int
    sha256: str


class AcceptedPoints(BaseModel):
    """How many values were taken."""

    accepted: int
