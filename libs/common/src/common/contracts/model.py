"""What train-svc tells of models."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from common.contracts.shared import InferencePart, ManifestRef, Shape, Visibility
from common.kernel.events import EventData


class DataSource(Shape):
    """What files come from: a version of a dataset, and the formatted set of it where they are one."""

    dataset_id: str | None = None
    dataset_name: str = ""
    dataset_version: int | None = None
    dataset_digest: str | None = None
    formatted_set_id: str | None = None
    formatted_set_name: str = ""
    formatted_set_format: str | None = None
    formatted_set_digest: str | None = None


class Lineage(DataSource):
    """Where a model comes from: ids and digests that stay readable when the things themselves are gone.

    `validation` is what it was validated on, where that was named.
    """

    job_id: str
    attempt: int
    algorithm_id: str | None = None
    algorithm_name: str = ""
    algorithm_revision: int | None = None
    parameters: dict[str, str | int | float | bool] = Field(default_factory=dict)
    validation: DataSource | None = None


class ModelEvent(EventData):
    """What every event of a model carries."""

    id: str
    name: str
    owner: str
    visibility: Visibility = Visibility.PRIVATE
    purpose: str = ""
    manifest: ManifestRef
    lineage: Lineage | None = None


class ModelCreated(ModelEvent):
    """A model was saved from a successful job."""

    type: ClassVar[str] = "model.created"


class ModelPublished(ModelEvent):
    """A model is to become a service; the service will have this id."""

    type: ClassVar[str] = "model.published"
    service_id: str
    service_name: str
    description: str = ""
    inference: InferencePart


class ModelShared(ModelEvent):
    """A model was put into the shared centre."""

    type: ClassVar[str] = "model.shared"


class ModelDeleted(EventData):
    """The model is gone but for its lineage."""

    type: ClassVar[str] = "model.deleted"
    id: str
