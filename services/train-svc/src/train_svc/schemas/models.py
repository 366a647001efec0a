"""Models over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from common.contracts.model import Lineage
from common.contracts.shared import Interface, Visibility
from train_svc.domain.model import Model, ModelState
from train_svc.schemas.shared import Asked


class ModelPatch(Asked):
    """What to change of a model."""

    name: str | None = None
    description: str | None = None


class PublishIn(Asked):
    """The service that a model becomes."""

    service_name: str
    description: str = ""


class ModelOut(BaseModel):
    """A model. `bytes` and `files` are those of its content; `services` the ids of those it was published as."""

    id: str
    name: str
    description: str
    owner: str
    state: ModelState
    version: int
    visibility: Visibility
    purpose: str
    files: int
    bytes: int
    digest: str
    metrics: dict[str, float]
    evaluation: dict[str, Any] | None
    job_id: str
    attempt: int
    lineage: Lineage
    can_serve: bool
    interface: Interface | None
    services: list[str]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, model: Model, **more: Any) -> Self:
        """As it is told."""
        return cls(
            id=model.id,
            name=model.name,
            description=model.description,
            owner=model.owner,
            state=model.state,
            version=model.version,
            visibility=model.visibility,
            purpose=model.purpose,
            files=model.manifest.files,
            bytes=model.manifest.bytes,
            digest=model.manifest.digest,
            metrics=model.metrics,
            evaluation=model.evaluation,
            job_id=model.lineage.job_id,
            attempt=model.lineage.attempt,
            lineage=model.lineage,
            can_serve=model.inference is not None,
            interface=model.inference.interface if model.inference else None,
            services=list(model.services),
            created_at=model.created_at,
            updated_at=model.updated_at,
            **more,
        )


class PublishedOut(ModelOut):
    """The model, and the id that its service will have."""

    service_id: str


class ThingNamed(BaseModel):
    """Something in a lineage: its name is remembered also when the thing itself is gone."""

    id: str
    name: str
    deleted: bool = False


class LineageOut(BaseModel):
    """Where a model comes from, and what it became."""

    model: ThingNamed
    job: ThingNamed | None
    lineage: Lineage
    services: list[str]
