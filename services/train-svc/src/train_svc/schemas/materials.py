"""What jobs train and validate on, over HTTP."""

from __future__ import annotations

from pydantic import BaseModel, Field

from train_svc.domain.materials import Material, Part, SplitRequest, ValidationRequest
from train_svc.schemas.shared import Asked


class SplitIn(Asked):
    """The part that trains, above 0 and below 1, and the seed that picks it."""

    ratio: float = 0.8
    seed: int = Field(default=0, ge=0, lt=2**31)

    def asked(self) -> SplitRequest:
        """As the domain has it."""
        return SplitRequest(self.ratio, self.seed)


class ValidationIn(Asked):
    """What to validate on: `part` (`train` or `test`) of a dataset's present version, or of that `version`; or else a
    formatted set. It may be of another dataset, and lies in `val/` beside `train/`."""

    dataset_id: str | None = Field(default=None, max_length=80)
    version: int | None = Field(default=None, ge=1, lt=2**31)
    part: Part = "train"
    formatted_set_id: str | None = Field(default=None, max_length=80)

    def asked(self) -> ValidationRequest:
        """As the domain has it."""
        return ValidationRequest(**self.model_dump())


class DatasetNamed(BaseModel):
    """The dataset version that a job uses."""

    id: str
    name: str
    version: int | None
    digest: str | None


class SetNamed(BaseModel):
    """The formatted set that a job uses; `share` is what part of the dataset's version it is, from 0 to 1."""

    id: str
    name: str
    format: str
    share: float
    digest: str


class ValidationOut(BaseModel):
    """What a job validates on: a part of a dataset's version, or the formatted set of it."""

    dataset: DatasetNamed
    part: Part
    formatted_set: SetNamed | None


class SplitOut(BaseModel):
    """How the dataset is split."""

    ratio: float
    seed: int


def dataset_named(data: Material) -> DatasetNamed:
    """The dataset, with the version that is used."""
    version = data.dataset.version
    return DatasetNamed(
        id=data.dataset.id,
        name=data.dataset.name,
        version=version.number if version else None,
        digest=version.digest if version else None,
    )


def set_named(data: Material) -> SetNamed | None:
    """The set, where it is one."""
    one = data.formatted
    if one is None:
        return None
    return SetNamed(id=one.id, name=one.name, format=one.format, share=one.share, digest=one.manifest.digest)


def validation_out(data: Material | None) -> ValidationOut | None:
    """What is validated on, where that was named."""
    return ValidationOut(dataset=dataset_named(data), part=data.part, formatted_set=set_named(data)) if data else None
