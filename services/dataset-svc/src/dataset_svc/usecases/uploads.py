"""Uploads in parts: begun, continued after any interruption, completed into an import, or given up (row D2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, NotFound
from common.kernel.ids import new_id
from common.kernel.names import raise_faults
from common.ports.files import Part as StoredPart
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.errors import BadPart, NotImportable, PartTooLarge, UnusedPart
from dataset_svc.domain.imports import Import
from dataset_svc.domain.taxonomy import Part, TestMode
from dataset_svc.domain.uploads import Upload, UploadState, part_size_for, sha256_faults, upload_faults
from dataset_svc.formats import formats_for
from dataset_svc.storage import IMPORTS, UPLOADS
from dataset_svc.usecases.access import to_change

_NOTED_EVERY = timedelta(seconds=60)
"""How exactly it is noted when the last part came."""


@dataclass(frozen=True)
class UploadStatus:
    """An upload with the parts that have arrived."""

    upload: Upload
    parts: Sequence[StoredPart]


async def begin_upload(
    uow: UnitOfWork,
    context: Context,
    who: Principal,
    dataset_id: str,
    *,
    part: Part,
    filename: str,
    size: int,
    sha256: str | None,
) -> UploadStatus:
    """A new upload. Raises Invalid (`invalid_upload`), Conflict (`no_independent_test_set`,
    `format_not_importable`)."""
    dataset = await to_change(uow.connection, who, dataset_id)
    check_wanted(dataset, part)
    raise_faults("upload", upload_faults(filename, size, sha256, context.settings.upload_bytes))
    smallest = context.files.capabilities.smallest_part
    upload_id, now = new_id("up"), uow.clock.now()
    upload = Upload(
        id=upload_id,
        name=filename,
        owner=dataset.owner,
        dataset_id=dataset.id,
        part=part,
        size=size,
        sha256=sha256,
        part_size=part_size_for(size, context.settings.part_bytes, smallest),
        archive=f"datasets/{dataset.id}/uploads/{upload_id}",
        created_at=now,
        updated_at=now,
    )
    await UPLOADS.add(uow.connection, upload)
    return UploadStatus(upload, ())


def check_wanted(dataset: Dataset, part: Part) -> None:
    """Raise Conflict where nothing could come of such an upload."""
    if part == Part.TEST and dataset.test_mode != TestMode.INDEPENDENT:
        raise UnusedPart(dataset.id)
    if dataset.format not in (known := formats_for(dataset.purpose)):
        raise NotImportable(dataset.id, dataset.format, dataset.purpose, known)


async def find_upload(context: Context, who: Principal, dataset_id: str, upload_id: str) -> UploadStatus:
    """How far an upload is."""
    async with context.store.reading() as connection:
        upload = await _upload(connection, who, dataset_id, upload_id)
    return UploadStatus(upload, await _parts(context, upload))


async def put_part(
    context: Context,
    who: Principal,
    dataset_id: str,
    upload_id: str,
    number: int,
    chunks: AsyncIterator[bytes],
    *,
    length: int | None = None,
    sha256: str | None = None,
) -> StoredPart:
    """Store one part, whole or not at all; sending it again replaces it. `length` is what was announced.

    Raises Invalid (`bad_part_number`, `wrong_part_size`, `checksum_mismatch`, `invalid_part`), TooLarge
    (`part_too_large`), Conflict (`upload_closed`), StorageFull (`storage_full`).
    """
    raise_faults("part", sha256_faults(sha256, "X-Content-SHA256") if sha256 is not None else [])
    async with context.store.reading() as connection:
        upload = await _upload(connection, who, dataset_id, upload_id)
        noted = await storage.last_activity(connection, upload_id)
    size = upload.size_of(number)
    if length is not None:
        _check_length(number, size, length)
    handle = upload.handle or await _begin(context, upload)
    stored = await context.files.put_part(handle, number, _exactly(chunks, number, size), sha256=sha256)
    now = context.store.clock.now()
    if noted is None or now - noted > _NOTED_EVERY:
        async with context.store.work() as uow:
            await storage.note_activity(uow.connection, upload_id, now)
    return stored


async def complete_upload(
    context: Context, who: Principal, dataset_id: str, upload_id: str, sha256: str | None = None
) -> Import:
    """Make the archive of its parts and queue its import; done twice it gives the same import.

    Raises Conflict (`upload_incomplete`, `upload_closed`), Invalid (`checksum_mismatch`; the parts stay).
    """
    raise_faults("upload", sha256_faults(sha256) if sha256 is not None else [])
    async with context.store.reading() as connection:
        upload = await _upload(connection, who, dataset_id, upload_id)
        if upload.import_id is not None:
            return await IMPORTS.get(connection, upload.import_id)
    await _assemble(context, upload, sha256 or upload.sha256)
    try:
        return await _queue(context, who, dataset_id, upload_id)
    except (Conflict, NotFound):
        await _clean_again(context, upload_id)
        raise


async def _assemble(context: Context, upload: Upload, sha256: str | None) -> None:
    """The archive, in the file store. Whoever comes after a kill finds it done, or does it again."""
    try:
        upload.check_complete({part.number: part.size for part in await _parts(context, upload)})
    except Conflict:
        if not await _is_stored(context, upload):
            raise
    assert upload.handle is not None
    await context.files.complete_upload(upload.handle, sha256=sha256)


async def _queue(context: Context, who: Principal, dataset_id: str, upload_id: str) -> Import:
    """The import of an upload whose archive is there."""
    async with context.store.work(actor=who.id) as uow:
        upload = await _upload(uow.connection, who, dataset_id, upload_id)
        if upload.import_id is not None:
            return await IMPORTS.get(uow.connection, upload.import_id)
        now = uow.clock.now()
        item = Import(
            id=new_id("imp"),
            name=upload.name,
            owner=upload.owner,
            dataset_id=dataset_id,
            part=upload.part,
            upload_id=upload.id,
            archive=upload.archive,
            size=upload.size,
            requested_by=who.id,
            created_at=now,
            updated_at=now,
        )
        await UPLOADS.save(uow.connection, upload.completed(item.id), now=now)
        await IMPORTS.add(uow.connection, item)
        uow.after_commit(context.ring)
        return item


async def abort_upload(context: Context, who: Principal, dataset_id: str, upload_id: str) -> None:
    """Give an upload up. Raises Conflict (`illegal_state`) where it has become an import."""
    async with context.store.work(actor=who.id) as uow:
        upload = await _upload(uow.connection, who, dataset_id, upload_id)
        if upload.state != UploadState.ABORTED:
            await UPLOADS.save(uow.connection, upload.aborted(), now=uow.clock.now())
        uow.after_commit(context.ring)


async def _upload(connection: AsyncConnection, who: Principal, dataset_id: str, upload_id: str) -> Upload:
    await to_change(connection, who, dataset_id)
    return await storage.upload_of(connection, dataset_id, upload_id)


async def _parts(context: Context, upload: Upload) -> Sequence[StoredPart]:
    """The parts that have arrived; those of a closed upload are gone."""
    if upload.handle is None or upload.state != UploadState.OPEN:
        return ()
    return await context.files.parts(upload.handle)


async def _is_stored(context: Context, upload: Upload) -> bool:
    try:
        return (await context.files.stat(upload.archive)).size == upload.size
    except NotFound:
        return False


async def _begin(context: Context, upload: Upload) -> str:
    """The file store's id of an upload, from the first part on. Of several first parts at once, one begins it."""
    handle = await context.files.begin_upload(upload.archive)
    async with context.store.work() as uow:
        now = await storage.upload_of(uow.connection, upload.dataset_id, upload.id)
        if now.handle is None and now.state == UploadState.OPEN:
            now = await UPLOADS.save(uow.connection, replace(now, handle=handle), now=uow.clock.now())
    if now.handle != handle:
        await context.files.abort_upload(handle)
    now.size_of(1)
    assert now.handle is not None
    return now.handle


async def _clean_again(context: Context, upload_id: str) -> None:
    """The upload was given up while its archive was made: what is there now must go as well."""
    async with context.store.work() as uow:
        upload = await UPLOADS.get(uow.connection, upload_id)
        if upload.state == UploadState.ABORTED:
            await storage.mark_files(uow.connection, storage.uploads, upload_id, storage.KEPT)
            uow.after_commit(context.ring)


def _check_length(number: int, size: int, length: int) -> None:
    """Raise TooLarge (`part_too_large`) or Invalid (`wrong_part_size`) before a byte is read."""
    if length > size:
        raise PartTooLarge(number, size)
    if length < size:
        raise BadPart("wrong_part_size", f"Part {number} has {size} bytes, not {length}. Cut the file as told.")


async def _exactly(chunks: AsyncIterator[bytes], number: int, size: int) -> AsyncIterator[bytes]:
    """The same chunks, which must be `size` bytes together."""
    arrived = 0
    async for chunk in chunks:
        arrived += len(chunk)
        if arrived > size:
            raise PartTooLarge(number, size)
        yield chunk
    _check_length(number, size, arrived)
