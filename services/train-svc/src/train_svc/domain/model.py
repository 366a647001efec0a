"""A model: what a successful job left, with where it comes from and what it became (seed 002 §2.4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.contracts.model import DataSource, Lineage
from common.contracts.shared import InferencePart, ManifestRef, Visibility
from common.kernel.errors import Conflict
from common.kernel.states import Transitions
from train_svc.domain.errors import NoInferencePart
from train_svc.domain.job import Job, Terms
from train_svc.domain.materials import Material


class ModelState(StrEnum):
    """A model is there, or only its tombstone is."""

    READY = "ready"
    DELETED = "deleted"


TRANSITIONS = Transitions(
    "model", ModelState.READY, {(ModelState.READY, "delete"): ModelState.DELETED}, final=[ModelState.DELETED]
)


@dataclass(frozen=True)
class Model:
    """One model. `inference` is the part of the algorithm's revision that trained it; `services` those it became."""

    id: str
    name: str
    owner: str
    purpose: str
    manifest: ManifestRef
    lineage: Lineage
    created_at: datetime
    updated_at: datetime
    description: str = ""
    state: ModelState = ModelState.READY
    version: int = 1
    visibility: Visibility = Visibility.PRIVATE
    inference: InferencePart | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    evaluation: dict[str, Any] | None = None
    services: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        """Whether others than the owner may see it."""
        return self.visibility != Visibility.PRIVATE and self.state == ModelState.READY

    def published(self, service: str) -> tuple[Model, InferencePart]:
        """With one more service, and how that serves. Raises Conflict (`no_inference_part`)."""
        if self.inference is None:
            raise NoInferencePart(self.lineage.algorithm_name)
        return replace(self, services=(*self.services, service)), self.inference

    def removed(self) -> Model:
        """A tombstone: name, digest and lineage stay. Raises Conflict (`illegal_state`)."""
        return replace(self, state=TRANSITIONS.move(self.state, "delete"))


def lineage_of(job: Job) -> Lineage:
    """Where what the job's present attempt makes comes from."""
    terms = job.terms
    return Lineage(
        job_id=job.id,
        attempt=job.attempt,
        algorithm_id=terms.algorithm.id,
        algorithm_name=terms.algorithm.name,
        algorithm_revision=terms.algorithm.revision,
        parameters=terms.parameters,
        **_source(terms.data).model_dump(),
        validation=_source(terms.validation) if terms.validation is not None else None,
    )


def _source(data: Material) -> DataSource:
    """Where the files come from, by ids and digests that stay readable."""
    dataset, version, one = data.dataset, data.dataset.version, data.formatted
    return DataSource(
        dataset_id=dataset.id,
        dataset_name=dataset.name,
        dataset_version=version.number if version else None,
        dataset_digest=version.digest if version else None,
        formatted_set_id=one.id if one else None,
        formatted_set_name=one.name if one else "",
        formatted_set_format=one.format if one else None,
        formatted_set_digest=one.manifest.digest if one else None,
    )


def model_of(
    model_id: str, job: Job, terms: Terms, manifest: ManifestRef, metrics: dict[str, float], now: datetime
) -> Model:
    """The model that a successful attempt saved. Raises Conflict (`no_results`) where it left no file."""
    if manifest.files == 0:
        raise Conflict("no_results", "The attempt left no file in its results, so there is no model to save.")
    return Model(
        id=model_id,
        name=job.name,
        owner=job.owner,
        purpose=terms.algorithm.purpose,
        manifest=manifest,
        lineage=lineage_of(job),
        created_at=now,
        updated_at=now,
        inference=terms.algorithm.inference,
        metrics=metrics,
        evaluation=job.evaluation,
    )
