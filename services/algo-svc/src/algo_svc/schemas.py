"""What algo-svc's routes take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from algo_svc.domain.algorithm import Algorithm
from algo_svc.domain.engine import Engine
from common.contracts.shared import (
    AcceleratorName,
    CodePart,
    EngineRef,
    InferencePart,
    Interface,
    ManifestRef,
    Parameter,
    Resources,
    TrainingPart,
    Visibility,
)
from common.kernel.quantities import parse_bytes
from common.ports.images import EngineStatus

Memory = Annotated[int, BeforeValidator(parse_bytes)]


class _Strict(BaseModel):
    """A request: a field that nobody knows is a fault, so that a misspelt one isn't silently dropped."""

    model_config = ConfigDict(extra="forbid")


class ResourcesIn(_Strict):
    """What one copy needs. `memory` in bytes or as `512Mi`."""

    cpu: float = Field(default=1.0, ge=0, le=1024, allow_inf_nan=False)
    memory: Memory = 0
    accelerator: AcceleratorName | None = None
    count: int = Field(default=0, ge=0, le=1024)


class PartIn(_Strict):
    """How code is run: an engine by name, or an image."""

    engine: str | None = None
    image: str | None = None
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    devices: tuple[AcceleratorName, ...] = ("cpu",)
    resources: ResourcesIn = ResourcesIn()

    def _common(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in ("image", "command", "arguments", "environment", "parameters")}
        engine = EngineRef(name=self.engine) if self.engine is not None else None
        return fields | {
            "engine": engine,
            "devices": self.devices,
            "resources": Resources(**self.resources.model_dump()),
        }


class TrainingIn(PartIn):
    """A training part; `transfer` says whether it can start from an earlier model."""

    transfer: bool = False

    def part(self) -> TrainingPart:
        """As the contracts have it; the engine is only named."""
        return TrainingPart(**self._common(), transfer=self.transfer)


class InferenceIn(PartIn):
    """An inference part, with how its service is called."""

    interface: Interface | None = None

    def part(self) -> InferencePart:
        """As the contracts have it; the engine is only named."""
        return InferencePart(**self._common(), interface=self.interface)


class AlgorithmIn(_Strict):
    """A new algorithm."""

    name: str
    description: str = ""
    purpose: str
    formats: tuple[str, ...]
    training: TrainingIn
    inference: InferenceIn | None = None
    visibility: Visibility = Visibility.PRIVATE


class AlgorithmPatch(_Strict):
    """What is to change; a part is replaced whole but keeps its code. `inference` null removes that part."""

    name: str | None = None
    description: str | None = None
    purpose: str | None = None
    formats: tuple[str, ...] | None = None
    training: TrainingIn | None = None
    inference: InferenceIn | None = None

    def changes(self) -> dict[str, Any]:
        """The fields that were sent, parts as the contracts have them."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        sent = {name: value for name, value in found.items() if value is not None or name == "inference"}
        return {
            name: value.part() if isinstance(value, TrainingIn | InferenceIn) else value for name, value in sent.items()
        }


class VisibilityIn(_Strict):
    """Who may see and use it."""

    visibility: Visibility


class CodeOut(BaseModel):
    """A code package: digest of its content, files, bytes."""

    digest: str
    files: int
    bytes: int

    @classmethod
    def of(cls, ref: ManifestRef | None) -> CodeOut | None:
        """Of a part's code, if it has any."""
        return cls(digest=ref.digest, files=ref.files, bytes=ref.bytes) if ref is not None else None


class PartOut(BaseModel):
    """A part as it is shown: the engine by name."""

    engine: str | None
    image: str | None
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: dict[str, str]
    parameters: tuple[Parameter, ...]
    devices: tuple[AcceleratorName, ...]
    resources: Resources


class TrainingOut(PartOut):
    """A training part."""

    transfer: bool


class InferenceOut(PartOut):
    """An inference part."""

    interface: Interface | None


class AlgorithmOut(BaseModel):
    """An algorithm. `missing` says what it still needs to go online."""

    id: str
    name: str
    description: str
    owner: str
    state: str
    online: bool
    visibility: Visibility
    purpose: str
    formats: tuple[str, ...]
    revision: int
    version: int
    preset: str | None
    training: TrainingOut
    inference: InferenceOut | None
    training_code: CodeOut | None
    inference_code: CodeOut | None
    missing: list[dict[str, str]]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, algorithm: Algorithm) -> AlgorithmOut:
        """As it is now."""
        training, inference = algorithm.training, algorithm.inference
        same = {
            name: getattr(algorithm, name)
            for name in cls.model_fields
            if name not in ("training", "inference", "training_code", "inference_code", "missing")
        }
        return cls(
            **same,
            training=TrainingOut(**_shown(training), transfer=training.transfer),
            inference=InferenceOut(**_shown(inference), interface=inference.interface) if inference else None,
            training_code=CodeOut.of(training.code),
            inference_code=CodeOut.of(inference.code) if inference else None,
            missing=[fault.as_json() for fault in algorithm.missing()],
        )


def _shown(part: CodePart) -> dict[str, Any]:
    fields = {name: getattr(part, name) for name in PartOut.model_fields}
    return fields | {"engine": part.engine.name if part.engine is not None else None}


class EngineIn(_Strict):
    """A new engine: a framework in a version, and the packages that it needs."""

    name: str
    framework: str
    version: str
    requirements: tuple[str, ...]
    python: str = Field(default=">=3.11", pattern=r"^[<>=!~][<>=!~.,0-9 *]{1,60}$")


class EngineOut(BaseModel):
    """An engine and how its building stands. `version` is the framework's; `progress` from 0 to 1."""

    id: str
    name: str
    owner: str
    framework: str
    version: str
    python: str
    requirements: tuple[str, ...]
    state: str
    progress: float
    detail: str
    digest: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, engine: Engine, seen: EngineStatus) -> EngineOut:
        """As it is now. What is really there counts; what was asked or failed shows where nothing is."""
        same = ("id", "name", "owner", "framework", "python", "requirements", "created_at", "updated_at")
        absent = seen.state == "absent"
        told = str(engine.state) if absent and engine.state != "ready" else str(seen.state)
        return cls(
            **{name: getattr(engine, name) for name in same},
            version=engine.release,
            state=told,
            progress=1.0 if told == "ready" else seen.progress,
            detail=seen.detail or (engine.detail if told == "failed" else ""),
            digest=seen.digest,
        )
