"""Uploads in parts: begun, continued after any interruption, completed into an import, or given up (row D2)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict
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
from dataset_svc.domain.uploads import Arrived, Upload, UploadState, part_size_for, sha256_faults, upload_faults
from dataset_svc.formats import formats_for
from dataset_svc.storage import IMPORTS, UPLOADS
from dataset_svc.usecases.access import to_change
from dataset_svc.usecases.arriving import assemble, begin, note_activity, parts_of


@dataclass(frozen=True)
class UploadStatus:
    """An upload with the parts that have arrived."""

    upload: Upload
    parts: Sequence[Arrived]


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
    direct: bool = False,
) -> UploadStatus:
    """A new upload; `direct` where that is wanted and the file store gives links.

    Raises Invalid (`invalid_upload`), Conflict (`no_independent_test_set`,
    `format_not_importable`)."""
    dataset = await to_change(uow.connection, who, dataset_id)
    check_wanted(dataset, part)
    raise_faults("upload", upload_faults(filename, size, sha256, context.settings.upload_bytes))
    able = context.files.capabilities
    direct = direct and able.presign
    smallest = able.smallest_direct if direct else able.smallest_part
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
        direct=direct,
    )
    await UPLOADS.add(uow.connection, upload)
    return UploadStatus(upload, ())


def check_wanted(dataset: Dataset, part: Part) -> None:
    """Raise Conflict where nothing could come of such an upload."""
    if part == Part.TEST and dataset.test_mode != TestMode.INDEPENDENT:
        raise UnusedPart(dataset.id)
    if dataset.format not in (known := formats_for(dataset.held_as)):
        raise NotImportable(dataset.id, dataset.format, dataset.purpose, known)


async def find_upload(context: Context, who: Principal, dataset_id: str, upload_id: str) -> UploadStatus:
    """How far an upload is."""
    async with context.store.reading() as connection:
        upload = await _upload(connection, who, dataset_id, upload_id)
    return UploadStatus(upload, await parts_of(context, upload))


async def find_open(
    context: Context, who: Principal, dataset_id: str, upload_id: str
) -> tuple[Upload, datetime | None]:
    """An upload that parts may still come for, and when it was noted that one came. Raises Conflict
    (`upload_closed`)."""
    async with context.store.reading() as connection:
        upload = await _upload(connection, who, dataset_id, upload_id)
        noted = await storage.last_activity(connection, upload_id)
    upload.size_of(1)
    return upload, noted


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
    upload, noted = await find_open(context, who, dataset_id, upload_id)
    if upload.direct:
        detail = f"The parts of {upload_id} go straight to the file store: ask …/uploads/{upload_id}/links for links."
        raise Conflict("upload_is_direct", detail)
    size = upload.size_of(number)
    if length is not None:
        _check_length(number, size, length)
    handle = upload.handle or await begin(context, upload)
    stored = await context.files.put_part(handle, number, _exactly(chunks, number, size), sha256=sha256)
    await note_activity(context, upload_id, noted)
    return stored


async def complete_upload(
    context: Context, who: Principal, dataset_id: str, upload_id: str, sha256: str | None = None
) -> Import:
    """Make the archive of its parts and queue its import; done twice it gives the same import.

    Raises Conflict (`upload_incomplete`, `upload_closed`; `no_independent_test_set`, `format_not_importable` where the
    dataset was changed meanwhile), Invalid (`checksum_mismatch`). Of one that is open still the parts stay.
    """
    raise_faults("upload", sha256_faults(sha256) if sha256 is not None else [])
    dataset, upload, became = await _now(context, who, dataset_id, upload_id)
    if became is not None:
        return became
    check_wanted(dataset, upload.part)  # before the parts are made one, which stay then
    try:
        known = await assemble(context, upload, sha256 or upload.sha256)
        return await _queue(context, who, dataset_id, upload_id, known or sha256)
    except Exception:
        await _clean_again(context, upload_id)
        _, upload, became = await _now(context, who, dataset_id, upload_id)
        if became is not None:  # another was faster, and the store has forgotten the upload by now
            return became
        upload.check_open()  # one that was given up is closed, whatever its store says of it
        raise


async def _now(
    context: Context, who: Principal, dataset_id: str, upload_id: str
) -> tuple[Dataset, Upload, Import | None]:
    """A dataset, its upload, and the import that this became, if it did."""
    async with context.store.reading() as connection:
        dataset = await to_change(connection, who, dataset_id)
        upload = await storage.upload_of(connection, dataset_id, upload_id)
        became = upload.import_id
        return dataset, upload, await IMPORTS.get(connection, became) if became is not None else None


async def _queue(context: Context, who: Principal, dataset_id: str, upload_id: str, sha256: str | None) -> Import:
    """The import of an upload whose archive is there. From here on the dataset can't be changed under it."""
    async with context.store.work(actor=who.id) as uow:
        dataset = await to_change(uow.connection, who, dataset_id)
        upload = await storage.upload_of(uow.connection, dataset_id, upload_id)
        if upload.import_id is not None:
            return await IMPORTS.get(uow.connection, upload.import_id)
        check_wanted(dataset, upload.part)
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
            sha256=sha256 or upload.sha256,
            direct=upload.direct,
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


async def _clean_again(context: Context, upload_id: str) -> None:
    """Where the upload was given up while its archive was made, what is there now must go as well: noted first, in case
    of a kill, and gone at once, as a round of tidying that is under way may be past it and note the end."""
    async with context.store.work() as uow:
        upload = await UPLOADS.get(uow.connection, upload_id)
        if upload.state != UploadState.ABORTED:
            return
        await storage.mark_files(uow.connection, storage.uploads, upload_id, storage.KEPT)
        uow.after_commit(context.ring)
    await context.files.delete(upload.archive)


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
