"""What the API of formatted sets takes and answers. Sizes in bytes, times in UTC, progress from 0 to 1."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from common.contracts.shared import ManifestRef
from common.manifests import Entry
from dataset_svc.domain.formatted import FormattedSet, SetState, Side
from dataset_svc.domain.taxonomy import Part

ORDERS: list[Any] = [
    {"dataset_id": "ds-…", "format": "recordio", "ratio": 0.8, "complement": True},
    {"dataset_id": "ds-…", "format": "parquet", "version": 2, "part": "test", "name": "digits, test"},
]


class CreateSet(BaseModel):
    """A part of a dataset version that is to be had in a format."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": ORDERS})

    dataset_id: str
    format: str = Field(description="raw, recordio, lmdb, webdataset, tfrecord or parquet")
    version: int | None = Field(default=None, ge=1, description="The current one where it is left out")
    part: Part = Field(default=Part.TRAIN, description="test: the independent test set")
    ratio: float | None = Field(default=None, description="The part for training, such as 0.8; left out, all files")
    side: Side | None = Field(default=None, description="With a ratio: train (the default) or held_out")
    seed: int = Field(default=0, ge=0, lt=2**63, description="The same seed cuts the same way, as in jobs")
    name: str | None = None
    complement: bool = Field(default=False, description="Make the rest as a set of its own too")


class CutOut(BaseModel):
    """How it is cut from its version; `share` is what part of the version it is."""

    side: Side
    ratio: float | None
    seed: int
    share: float


class OriginOut(BaseModel):
    """What it is cut from: a version never changes."""

    dataset_id: str
    dataset_name: str
    version: int
    digest: str
    part: Part


class OfferOut(BaseModel):
    """The rest of the version: `id` is its set where there is one; else `POST …/complement` makes it."""

    side: Side
    share: float
    id: str | None


class FormattedSetOut(BaseModel):
    """A formatted set. `classes` says how many records each class has, in the order of labels from 0; `files` and
    `bytes` are those of the finished set. `progress` is the part of the work that is done; `reason` why it has failed,
    or for what it waits."""

    id: str
    name: str
    owner: str
    format: str
    state: SetState
    version: int
    origin: OriginOut
    cut: CutOut
    complement: OfferOut | None
    progress: float
    records: int
    classes: dict[str, int]
    files: int
    bytes: int
    manifest: ManifestRef | None
    code: str
    reason: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, item: FormattedSet, progress: float = 0.0) -> FormattedSetOut:
        """The set, and how far it is where it is being built."""
        same = ("id", "name", "owner", "format", "state", "version", "records", "classes", "manifest", "code", "reason")
        cut, rest, origin = item.cut, item.cut.complement, item.origin
        return cls(
            **{name: getattr(item, name) for name in (*same, "created_at", "updated_at", "ended_at")},
            origin=OriginOut(
                dataset_id=origin.dataset_id,
                dataset_name=origin.dataset_name,
                version=origin.number,
                digest=origin.digest,
                part=origin.part,
            ),
            cut=CutOut(side=cut.side, ratio=cut.ratio, seed=cut.seed, share=cut.share),
            complement=OfferOut(side=rest.side, share=rest.share, id=item.complement_id) if rest else None,
            progress=1.0 if item.state == SetState.READY else round(min(progress, 0.99), 4),
            files=item.manifest.files if item.manifest else 0,
            bytes=item.manifest.bytes if item.manifest else 0,
        )


class SetFileOut(BaseModel):
    """One file of a set: its path, size in bytes and SHA-256 in hex."""

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, entry: Entry) -> SetFileOut:
        """The file as the list has it."""
        return cls(path=entry.path, size=entry.size, sha256=entry.sha256)
