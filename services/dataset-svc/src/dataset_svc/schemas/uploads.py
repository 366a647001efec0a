"""What the API of uploads takes and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from common.ports.files import DirectPart
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.uploads import Arrived, PartLinks, Upload, UploadState


class _In(BaseModel):
    """A request; a field that nobody knows is an error rather than silence."""

    model_config = ConfigDict(extra="forbid")


class BeginUpload(_In):
    """A file that is to come in parts."""

    part: Part = Part.TRAIN
    filename: str
    size: int = Field(description="Bytes of the whole")
    sha256: str | None = Field(default=None, description="SHA-256 of the whole in hex, checked at the end")
    direct: bool = Field(default=False, description="By links straight to the file store, where it gives any")


class BeginUploadTo(BaseModel):
    """A begun upload with its dataset: what an Idempotency-Key stands for."""

    dataset_id: str
    wanted: BeginUpload


class CompleteUpload(_In):
    """All parts have come."""

    sha256: str | None = Field(default=None, description="SHA-256 of the whole in hex")


class AskLinks(_In):
    """Which parts are to be sent next."""

    numbers: Annotated[list[int], Field(min_length=1, max_length=100)]


class LinkOut(BaseModel):
    """PUT the part's bytes, exactly `size` of them, to `url`, with no more headers than an HTTP client sends itself."""

    number: int
    size: int
    url: str


class LinksOut(BaseModel):
    """Links and when they expire; ask again for what was not sent until then."""

    items: list[LinkOut]
    expires_at: datetime

    @classmethod
    def of(cls, links: PartLinks) -> LinksOut:
        """The links."""
        items = [LinkOut(number=one.number, size=one.size, url=one.url) for one in links.items]
        return cls(items=items, expires_at=links.expires_at)


class PartOut(BaseModel):
    """One part that has arrived. Of one that went straight to the store only its `etag` is known, not its SHA-256."""

    number: int
    size: int
    sha256: str
    etag: str

    @classmethod
    def of(cls, part: Arrived) -> PartOut:
        """The part as the file store has it."""
        if isinstance(part, DirectPart):
            return cls(number=part.number, size=part.size, sha256="", etag=part.etag)
        return cls(number=part.number, size=part.size, sha256=part.sha256, etag="")


class UploadOut(BaseModel):
    """An upload. Parts have `part_size` bytes, the last the rest; `parts` are the numbers that have arrived.

    `direct`: they are PUT to links (ask `…/links`), and the whole is held against its SHA-256 by the import. Where
    direct was asked for and is False, this platform's file store gives no links: send them to `…/parts/{number}`.
    """

    id: str
    dataset_id: str
    part: Part
    filename: str
    size: int
    sha256: str | None
    part_size: int
    part_count: int
    direct: bool
    parts: list[int]
    arrived: list[PartOut]
    owner: str
    state: UploadState
    version: int
    import_id: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, upload: Upload, parts: tuple[Arrived, ...] = ()) -> UploadOut:
        """The upload with its parts."""
        own = cls.model_fields.keys() - {"filename", "parts", "arrived"}
        return cls(
            **{name: getattr(upload, name) for name in own},
            filename=upload.name,
            parts=[part.number for part in parts],
            arrived=[PartOut.of(part) for part in parts],
        )
