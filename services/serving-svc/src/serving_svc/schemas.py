"""What serving-svc's routes take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from common.contracts.model import Lineage
from common.contracts.shared import AcceleratorName, Interface, Resources, Visibility
from common.kernel.labels import label_faults
from common.kernel.quantities import parse_bytes
from common.workloads.workload import Phase
from serving_svc.domain.service import InferenceService
from serving_svc.storage import Kept


class _Strict(BaseModel):
    """A request: a field that nobody knows is a fault, so that a misspelt one isn't silently dropped."""

    model_config = ConfigDict(extra="forbid")


class ResourcesIn(_Strict):
    """What each replica needs: CPU in cores, memory in bytes or as `512Mi`; an accelerator is a kind (`gpu`, `npu` …)
    or its vendor's name. Only nodes with all labels in `selectors`, and of `cluster` where one is named, will do."""

    cpu: float = Field(default=1.0, ge=0, le=1024, allow_inf_nan=False)
    memory: Annotated[int, BeforeValidator(parse_bytes), Field(ge=0)] = 0
    accelerator: AcceleratorName | None = None
    model: str | None = Field(default=None, max_length=100)
    count: int = Field(default=0, ge=0, le=1024)
    selectors: dict[str, str] = Field(default_factory=dict, max_length=50)
    cluster: str | None = Field(default=None, max_length=253)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.accelerator is None) != (self.count == 0) or (self.model and self.accelerator is None):
            raise ValueError("say accelerator and count, or neither of them (and no model)")
        if reasons := [f"{fault.where}: {fault.reason}" for fault in label_faults(self.selectors, "selectors")]:
            raise ValueError(" ".join(reasons))
        return self

    def asked(self) -> Resources:
        """As replicas ask for them."""
        return Resources(**self.model_dump())


class ServicePatch(_Strict):
    """What is to change."""

    name: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    preemptible: bool | None = Field(default=None, description="Whether its replicas may end for more urgent work")
    spread: bool | None = Field(default=None, description="Whether each replica gets a node of its own")

    resources: ResourcesIn | None = Field(default=None, description="Null: what the algorithm's inference part says")
    priority: int | None = Field(default=None, ge=-1000, le=1000, description="Of those that wait; higher goes first")
    priority_class: str | None = Field(
        default=None, max_length=63, description="A priority that has a name; null: none"
    )

    def changes(self) -> dict[str, Any]:
        """The fields that were sent. Null takes away resources of its own and the class, and else changes nothing."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if self.resources is not None:
            given["resources"] = self.resources.asked()
        return {name: value for name, value in given.items() if value is not None or name in _NULLABLE}


_NULLABLE = ("resources", "priority_class")


class ReplicasIn(_Strict):
    """How many replicas are wanted."""

    replicas: int = 1


class ScaleIn(_Strict):
    """How many replicas are wanted."""

    replicas: int


class TestIn(_Strict):
    """Inputs by name, files in base64; without any the interface's test values are sent."""

    __test__ = False

    inputs: dict[str, Any] | None = Field(default=None, max_length=100)


class ServiceOut(BaseModel):
    """An inference service. `replicas` are wanted, `ready` of them answer; `detail` says what stands in the way."""

    id: str
    name: str
    description: str
    owner: str
    visibility: Visibility
    state: str
    replicas: int
    ready: int
    address: str
    purpose: str
    interface: Interface | None
    resources: Resources
    model_id: str | None
    model_name: str
    job_id: str | None
    lineage: Lineage | None
    detail: str
    deaths: int
    retry_at: datetime | None
    preemptible: bool
    spread: bool
    priority: int
    priority_class: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, service: InferenceService, detail: str = "") -> ServiceOut:
        """As it is now; `detail` is what its replicas say where the service itself has nothing to say."""
        derived = {
            "ready": len(service.endpoints),
            "interface": service.inference.interface,
            "resources": service.needs,
            "detail": service.detail or detail,
        }
        same = {name: getattr(service, name) for name in cls.model_fields if name not in derived}
        return cls(**same, **derived)


class ReplicaOut(BaseModel):
    """One replica. `note` says what it does or waits for, `reason` and `detail` why it ended."""

    id: str
    state: str
    ready: bool
    address: str | None
    note: str
    reason: str | None
    detail: str
    exit_code: int | None
    last_lines: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cpu_seconds: float
    peak_memory: int

    @classmethod
    def of(cls, kept: Kept, progress: tuple[float, str] | None) -> ReplicaOut:
        """As it is now, with what preparing it says."""
        replica, workload = kept.replica, kept.workload
        outcome = workload.outcome
        return cls(
            id=replica.id,
            state=_state(kept),
            ready=replica.routed,
            address=workload.address,
            note=note_of(kept, progress),
            reason=str(outcome.reason) if outcome else None,
            detail=replica.sick or (outcome.detail if outcome else ""),
            exit_code=outcome.exit_code if outcome else None,
            last_lines=str(workload.result.get("last", "")),
            created_at=replica.created_at,
            started_at=workload.started_at,
            ended_at=workload.ended_at,
            cpu_seconds=workload.cpu_seconds,
            peak_memory=workload.peak_memory,
        )


def _state(kept: Kept) -> str:
    """One word: waiting, preparing, starting, ready, unready, draining, stopping or ended."""
    replica, phase = kept.replica, kept.workload.phase
    if phase == Phase.ENDED:
        return "ended"
    if replica.leaving or replica.sick:
        return "stopping"
    if replica.draining_at is not None:
        return "draining"
    if phase != Phase.RUNNING:
        return str(phase)
    if replica.ready:
        return "ready"
    return "starting" if replica.ready_at is None else "unready"


def note_of(kept: Kept, progress: tuple[float, str] | None) -> str:
    """What a replica waits for at present."""
    said = {
        "waiting": "It waits for capacity.",
        "preparing": "It is being prepared.",
        "starting": "It runs and does not answer yet.",
        "unready": "It does not answer at present.",
        "draining": "It finishes what it has and gets nothing new.",
        "stopping": "It was asked to stop.",
    }.get(_state(kept), "")
    return progress[1] if progress is not None and progress[1] and _state(kept) == "preparing" else said


class ReplicasOut(BaseModel):
    """The replicas of a service, newest first; ended ones are kept for a while."""

    items: list[ReplicaOut]
    next_cursor: str | None = None


class TestOut(BaseModel):
    """What an online test sent and got. `response` is JSON, a text, or `{"base64": …}`; `status` is the replica's."""

    __test__ = False

    status: int
    latency_ms: float
    replica: str
    request: dict[str, Any]
    content_type: str
    response: Any
    truncated: bool
