"""What the API takes and answers about versions beside one another. Sizes in bytes."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from common.manifests.difference import Change, Difference, Total
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.versions import Version


class EditVersion(BaseModel):
    """What a version is called; what is left out stays, and an empty text takes it back."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, description="At most 100 characters, such as v2.0 or 清洗后")
    description: str | None = Field(default=None, description="At most 255 characters")


class VersionName(BaseModel):
    """Which version it is."""

    number: int
    digest: str
    name: str

    @classmethod
    def of(cls, version: Version) -> VersionName:
        """The version by its names."""
        return cls(number=version.number, digest=version.digest, name=version.name)


class TotalOut(BaseModel):
    """How many files, and their bytes: the new ones, or those that are removed."""

    files: int
    bytes: int

    @classmethod
    def of(cls, total: Total) -> TotalOut:
        """The total."""
        return cls(files=total.files, bytes=total.bytes)


class DifferenceOut(BaseModel):
    """One file that is another. `path` is the new one, `earlier_path` where a renamed one was; `sha256` is that of the
    new content, or of what is removed."""

    kind: Change
    path: str
    earlier_path: str | None
    earlier_size: int | None
    size: int | None
    sha256: str

    @classmethod
    def of(cls, found: Difference) -> DifferenceOut:
        """The difference."""
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class ComparisonOut(BaseModel):
    """What is another in one version (`after`) than in another (`before`): totals of each kind, and a page of files in
    the order of paths. A file with the same content under another path is renamed, and no bytes of it are new."""

    before: VersionName
    after: VersionName
    part: Part
    same: bool
    totals: dict[Change, TotalOut]
    items: list[DifferenceOut]
    next_cursor: str | None
