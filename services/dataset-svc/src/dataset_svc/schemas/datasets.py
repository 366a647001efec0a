"""What the API of datasets takes and answers. Sizes in bytes, times in UTC, progress from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field

from common.contracts.shared import ManifestRef, Visibility
from dataset_svc.domain.dataset import Dataset, DatasetState
from dataset_svc.domain.imports import Import, ImportState
from dataset_svc.domain.taxonomy import Part, TestMode
from dataset_svc.domain.versions import Content, Sample, Version
from dataset_svc.importing import Progress
from dataset_svc.schemas.annotations import Annotations
from dataset_svc.schemas.details import Figures
from dataset_svc.schemas.reports import Report


class _In(BaseModel):
    """A request; a field that nobody knows is an error rather than silence."""

    model_config = ConfigDict(extra="forbid")


class CreateDataset(_In):
    """A dataset to be made."""

    name: str = Field(description="1 to 100 characters, Chinese included; need not be unique")
    description: str = Field(default="", description="At most 255 characters")
    purpose: str = Field(description="Two levels, such as image/classification")
    annotation: str = Field(default="class", description="class, box, polygon, entity or relation")
    format: str = Field(default="dir", description="dir, json, single_text or brat_ann")
    test_mode: str = Field(default="ratio", description="ratio (of the training set) or independent")
    visibility: str = Field(default="private", description="private, public, or (administrators only) preset")


class EditDataset(_In):
    """What is to change; what is left out stays. The last four may change only before the first import."""

    name: str | None = None
    description: str | None = None
    purpose: str | None = None
    annotation: str | None = None
    format: str | None = None
    test_mode: str | None = None


class SetVisibility(_In):
    """Who else may see and use it while it is online."""

    visibility: Visibility


_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


class SampleOut(BaseModel):
    """One file of a dataset. `url` gives its bytes, `thumbnail` a small PNG of an image; `annotations` is what is drawn
    on an image, marked in a text, or in those rows of a table that are on this page, where the format has such."""

    model_config = ConfigDict(populate_by_name=True)

    path: str
    label: str = Field(serialization_alias="class")
    size: int
    sha256: str
    url: str
    thumbnail: str | None
    annotations: Annotations | None = None

    @classmethod
    def of(
        cls, sample: Sample, dataset_id: str, version: int, part: Part, annotations: dict[str, Any] | None = None
    ) -> SampleOut:
        """The sample with its address."""
        query = urlencode({"path": sample.path, "version": version, "part": str(part)}, quote_via=quote)
        address = f"/api/v1/datasets/{dataset_id}/samples"
        return cls(
            path=sample.path,
            label=sample.label,
            size=sample.size,
            sha256=sample.sha256,
            url=f"{address}/file?{query}",
            thumbnail=f"{address}/thumbnail?{query}" if sample.path.lower().endswith(_IMAGES) else None,
            annotations=annotations,
        )


class ContentOut(BaseModel):
    """One part of a version: its files, and figures of their content (image sizes, lengths of texts)."""

    digest: str
    manifest: ManifestRef
    files: int
    bytes: int
    classes: dict[str, int]
    figures: Figures
    import_id: str

    @classmethod
    def of(cls, content: Content) -> ContentOut:
        """The content of an import."""
        return cls(
            digest=content.digest,
            manifest=content.manifest,
            files=content.manifest.files,
            bytes=content.manifest.bytes,
            classes=content.classes,
            figures=content.figures,
            import_id=content.import_id,
        )


class VersionOut(BaseModel):
    """An immutable version, named by the digest of its content; `classes` says how many files each has. `name` and
    `description` are what people call it."""

    id: str
    number: int
    digest: str
    name: str
    description: str
    created_at: datetime
    files: int
    bytes: int
    classes: dict[str, int]
    train: ContentOut
    test: ContentOut | None
    preview: list[SampleOut]

    @classmethod
    def of(cls, version: Version) -> VersionOut:
        """The version with a few of its samples."""
        samples = [SampleOut.of(s, version.dataset_id, version.number, Part.TRAIN) for s in version.train.preview]
        return cls(
            id=version.id,
            number=version.number,
            digest=version.digest,
            name=version.name,
            description=version.description,
            created_at=version.created_at,
            files=version.files,
            bytes=version.bytes,
            classes=version.classes(),
            train=ContentOut.of(version.train),
            test=ContentOut.of(version.test) if version.test is not None else None,
            preview=samples,
        )


class ImportOut(BaseModel):
    """An import: queued, running (see `phase`), then succeeded, failed (see `reason` and `report`) or cancelled.

    `reason` also says what it waits for while its phase is `waiting`. `bytes_done` and `files_done` are those of the
    phase, `progress` that of the whole. `rate` is bytes of the archive a second. `unchanged`: the content was what the
    dataset had already. `sha256` is that of the archive in hex, where it was told or has been computed.
    """

    id: str
    name: str
    owner: str
    dataset_id: str
    upload_id: str
    part: Part
    state: ImportState
    version: int
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    phase: str
    progress: float
    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    rate: float
    code: str
    reason: str
    report: Report | None
    version_number: int | None
    unchanged: bool
    source_id: str | None
    prefix: str
    sha256: str | None

    @classmethod
    def of(cls, item: Import, progress: Progress | None = None) -> ImportOut:
        """The import, and how far it is where it runs."""
        now = _progress_of(item, progress)
        done = 1.0 if item.state == ImportState.SUCCEEDED else min(now.overall, 0.99)
        same = cls.model_fields.keys() & Import.__dataclass_fields__.keys() - {"reason"}
        return cls(
            **{name: getattr(item, name) for name in same},
            reason=item.reason or now.reason,
            phase=now.phase,
            progress=round(done, 4),
            bytes_done=now.bytes,
            bytes_total=now.total_bytes,
            files_done=now.files,
            files_total=now.total_files,
            rate=round(now.rate, 1),
        )


def _progress_of(item: Import, progress: Progress | None) -> Progress:
    """How far it is, also before anything was told and after the end."""
    if item.state == ImportState.SUCCEEDED:
        files = int((item.report or {}).get("files", 0))
        return Progress("done", item.size, item.size, files, files, 0.0)
    if progress is None or not item.active:
        return Progress(str(item.state), 0, max(item.size, 1), 0, 0, 0.0)
    return replace(progress, total_bytes=max(progress.total_bytes, item.size, 1))


class DatasetOut(BaseModel):
    """A dataset. `imports`: its latest, newest first, for those who may change it. `version` counts changes of this
    resource and is not that of the content (see `current_version`)."""

    id: str
    name: str
    description: str
    owner: str
    state: DatasetState
    online: bool
    visibility: Visibility
    purpose: str
    annotation: str
    format: str
    test_mode: TestMode
    version: int
    created_at: datetime
    updated_at: datetime
    current_version: VersionOut | None
    missing_parts: list[Part]
    imports: list[ImportOut]

    @classmethod
    def of(
        cls, dataset: Dataset, imports: tuple[Import, ...] = (), progress: Mapping[str, Progress] | None = None
    ) -> DatasetOut:
        """The dataset with its latest imports."""
        plain = cls.model_fields.keys() - {"current_version", "missing_parts", "imports"}
        return cls(
            **{name: getattr(dataset, name) for name in plain},
            current_version=VersionOut.of(dataset.current) if dataset.current is not None else None,
            missing_parts=list(dataset.missing_parts()),
            imports=[ImportOut.of(item, (progress or {}).get(item.id)) for item in imports],
        )
