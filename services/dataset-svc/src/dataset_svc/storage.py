"""The tables of dataset-svc and its repositories.

What only housekeeping needs (`active_at`, `progress`, `files`) is in columns beside the aggregates, so that noting it
changes no resource's version.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.aggregates import Aggregates, aggregate_table, missing
from common.db.tables import Instant, Json
from common.kernel.errors import NotFound
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.formatted import FormattedSet
from dataset_svc.domain.imports import ACTIVE, Import
from dataset_svc.domain.sources import Source
from dataset_svc.domain.uploads import Upload, UploadState
from dataset_svc.domain.versions import Content, Version

METADATA = MetaData()

KEPT, GOING, GONE = "kept", "going", "gone"
"""Of the files of a dataset, import or upload: there, being removed (nobody can hold them any more), removed."""

datasets = aggregate_table(
    "datasets",
    METADATA,
    Column("purpose", String(80), nullable=False, index=True),
    Column("format", String(40), nullable=False),
    Column("visibility", String(16), nullable=False),
    Column("files", String(8), nullable=False, default=KEPT),
)

versions = Table(
    "versions",
    METADATA,
    Column("id", String(48), primary_key=True),
    Column("dataset_id", String(48), nullable=False),
    Column("number", Integer, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("doc", Json, nullable=False),
    UniqueConstraint("dataset_id", "number"),
)

imports = aggregate_table(
    "imports",
    METADATA,
    Column("dataset_id", String(48), nullable=False, index=True),
    Column("progress", Json),
    Column("files", String(8), nullable=False, default=KEPT, index=True),
)

uploads = aggregate_table(
    "uploads",
    METADATA,
    Column("dataset_id", String(48), nullable=False, index=True),
    Column("active_at", Instant),
    Column("files", String(8), nullable=False, default=KEPT, index=True),
)


formatted_sets = aggregate_table(
    "formatted_sets",
    METADATA,
    Column("dataset_id", String(48), nullable=False, index=True),
    Column("format", String(40), nullable=False),
    Column("progress", Float),
    Column("files", String(8), nullable=False, default=KEPT, index=True),
)


sources = aggregate_table("sources", METADATA)


def _dataset_columns(dataset: Dataset) -> dict[str, Any]:
    return {"purpose": dataset.purpose, "format": dataset.format, "visibility": str(dataset.visibility)}


DATASETS = Aggregates("dataset", datasets, Dataset, shared=lambda item: item.shared, columns=_dataset_columns)
IMPORTS = Aggregates("import", imports, Import, columns=lambda item: {"dataset_id": item.dataset_id})
UPLOADS = Aggregates("upload", uploads, Upload, columns=lambda item: {"dataset_id": item.dataset_id})
SETS = Aggregates(
    "formatted_set",
    formatted_sets,
    FormattedSet,
    columns=lambda item: {"dataset_id": item.origin.dataset_id, "format": item.format},
)
SOURCES = Aggregates("source", sources, Source)
_VERSION: TypeAdapter[Version] = TypeAdapter(Version)


async def living(connection: AsyncConnection, dataset_id: str) -> Dataset:
    """The dataset, unless it was deleted. Raises NotFound (`dataset_not_found`)."""
    dataset = await DATASETS.get(connection, dataset_id)
    if dataset.deleted:
        raise missing("dataset", dataset_id)
    return dataset


async def its_dataset(connection: AsyncConnection, table: Table, item_id: str) -> Dataset | None:
    """The dataset that an import or a formatted set is of, None where there is no such thing.

    To be asked for before the thing itself: who writes locks first a dataset, then what is of it.
    """
    found = select(table.c.dataset_id).where(table.c.id == item_id)
    dataset_id = (await connection.execute(found)).scalar_one_or_none()
    return await DATASETS.find(connection, dataset_id) if dataset_id is not None else None


async def import_of(connection: AsyncConnection, dataset_id: str, import_id: str) -> Import:
    """An import of that dataset. Raises NotFound (`import_not_found`)."""
    item = await IMPORTS.get(connection, import_id)
    if item.dataset_id != dataset_id:
        raise missing("import", import_id)
    return item


async def upload_of(connection: AsyncConnection, dataset_id: str, upload_id: str) -> Upload:
    """An upload to that dataset. Raises NotFound (`upload_not_found`)."""
    item = await UPLOADS.get(connection, upload_id)
    if item.dataset_id != dataset_id:
        raise missing("upload", upload_id)
    return item


async def add_version(connection: AsyncConnection, version: Version) -> None:
    """Store a new version; it never changes."""
    row = {
        "id": version.id,
        "dataset_id": version.dataset_id,
        "number": version.number,
        "digest": version.digest,
        "bytes": version.bytes,
        "created_at": version.created_at,
        "doc": _VERSION.dump_python(version, mode="json"),
    }
    await connection.execute(insert(versions).values(row))


async def describe_version(connection: AsyncConnection, version: Version) -> None:
    """Store what people call a version."""
    at = (versions.c.dataset_id == version.dataset_id) & (versions.c.number == version.number)
    doc = _VERSION.dump_python(version, mode="json")
    await connection.execute(update(versions).where(at).values(doc=doc))


async def versions_of(connection: AsyncConnection, dataset_id: str) -> list[Version]:
    """All versions of a dataset, the newest first."""
    found = select(versions.c.doc).where(versions.c.dataset_id == dataset_id).order_by(versions.c.number.desc())
    return [_VERSION.validate_python(doc) for doc in (await connection.execute(found)).scalars()]


async def version_numbered(connection: AsyncConnection, dataset_id: str, number: int) -> Version:
    """One version. Raises NotFound (`version_not_found`)."""
    at = select(versions.c.doc).where(versions.c.dataset_id == dataset_id, versions.c.number == number)
    doc = (await connection.execute(at)).scalar_one_or_none()
    if doc is None:
        raise NotFound("version_not_found", f"{dataset_id} has no version {number}.")
    return _VERSION.validate_python(doc)


async def contents_of(connection: AsyncConnection, dataset: Dataset) -> list[Content]:
    """Everything that a dataset refers to: what its versions hold, and parts that wait for their other part."""
    held = [part for version in await versions_of(connection, dataset.id) for part in version.contents]
    return [*dataset.parts.values(), *held]


async def active_imports(connection: AsyncConnection, dataset_id: str | None = None) -> list[Import]:
    """The imports that are queued or running (of one dataset), oldest first."""
    active = imports.c.state.in_([str(state) for state in ACTIVE])
    return await IMPORTS.where(connection, active, *([imports.c.dataset_id == dataset_id] if dataset_id else []))


async def open_uploads(connection: AsyncConnection, dataset_id: str) -> list[Upload]:
    """The uploads to a dataset that parts may still come for."""
    return await UPLOADS.where(connection, uploads.c.dataset_id == dataset_id, uploads.c.state == str(UploadState.OPEN))


async def latest_imports(connection: AsyncConnection, dataset_ids: Sequence[str]) -> dict[str, Import]:
    """The newest import of each of these datasets that has one."""
    newest = select(func.max(imports.c.id)).where(imports.c.dataset_id.in_(dataset_ids)).group_by(imports.c.dataset_id)
    return {item.dataset_id: item for item in await IMPORTS.where(connection, imports.c.id.in_(newest))}


async def note_activity(connection: AsyncConnection, upload_id: str, now: datetime) -> None:
    """A part of the upload came."""
    await connection.execute(update(uploads).where(uploads.c.id == upload_id).values(active_at=now))


async def idle_uploads(connection: AsyncConnection, before: datetime) -> list[Upload]:
    """Open uploads for which nothing has come since then."""
    last = func.coalesce(uploads.c.active_at, uploads.c.created_at)
    return await UPLOADS.where(connection, uploads.c.state == str(UploadState.OPEN), last < before)


async def last_activity(connection: AsyncConnection, upload_id: str) -> datetime | None:
    """When its last part came, as far as noted."""
    at = select(uploads.c.active_at).where(uploads.c.id == upload_id)
    return (await connection.execute(at)).scalar_one_or_none()


async def save_progress(connection: AsyncConnection, import_id: str, progress: dict[str, Any]) -> None:
    """Note how far an import is, for those who ask another instance."""
    await connection.execute(update(imports).where(imports.c.id == import_id).values(progress=progress))


async def progress_of(connection: AsyncConnection, import_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How far imports are, as last noted."""
    at = select(imports.c.id, imports.c.progress).where(imports.c.id.in_(import_ids), imports.c.progress.is_not(None))
    return {row.id: row.progress for row in await connection.execute(at)}


async def ended_imports_with_files(connection: AsyncConnection) -> list[Import]:
    """Ended imports whose leftovers (the archive, packs that became no version) have not been looked after yet."""
    ended = imports.c.state.not_in([str(state) for state in ACTIVE])
    return await IMPORTS.where(connection, ended, imports.c.files.in_([KEPT, GOING]))


async def aborted_uploads_with_files(connection: AsyncConnection) -> list[Upload]:
    """Aborted uploads whose parts may still be there."""
    return await UPLOADS.where(
        connection, uploads.c.state == str(UploadState.ABORTED), uploads.c.files.in_([KEPT, GOING])
    )


async def deleted_with_files(connection: AsyncConnection) -> list[Dataset]:
    """Deleted datasets whose files are still there."""
    return await DATASETS.where(connection, datasets.c.state == "deleted", datasets.c.files != GONE)


async def files_state(connection: AsyncConnection, dataset_id: str) -> str | None:
    """Whether a dataset's files are `kept`, `going` or `gone`; None where it never was."""
    at = select(datasets.c.files).where(datasets.c.id == dataset_id)
    return (await connection.execute(at)).scalar_one_or_none()


async def mark_files(
    connection: AsyncConnection, table: Table, item_id: str, state: str, *, before: str | None = None
) -> None:
    """Note the state of the files of a dataset, import or upload; only where it is `before`, if that is given."""
    its = [table.c.id == item_id] + ([] if before is None else [table.c.files == before])
    await connection.execute(update(table).where(*its).values(files=state))
