"""Where an upload's bytes are until it is an archive: in the file store, by way of this service or (`direct`) by links
that lead straight there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

from common.kernel.errors import Conflict, Invalid, NotFound
from common.ports.files import DirectPart, Linking
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.errors import WrongSum
from dataset_svc.domain.uploads import Arrived, Upload, UploadState
from dataset_svc.storage import UPLOADS

_NOTED_EVERY = timedelta(seconds=60)
"""How exactly it is noted when something last came."""


def linking(context: Context) -> Linking:
    """The file store, where it gives links (`capabilities.presign`)."""
    assert context.files.capabilities.presign
    return cast(Linking, context.files)


async def parts_of(context: Context, upload: Upload) -> Sequence[Arrived]:
    """The parts that have arrived; those of a closed upload are gone, and a store may have forgotten direct ones."""
    if upload.handle is None or upload.state != UploadState.OPEN:
        return ()
    if not upload.direct:
        return await context.files.parts(upload.handle)
    try:
        return await linking(context).direct_parts(upload.archive, upload.handle)
    except NotFound:
        return ()


async def begin(context: Context, upload: Upload) -> str:
    """The file store's id of an upload, from the first part on. Of several first parts at once, one begins it; a direct
    one that another began stays until the upload is tidied."""
    before = upload.handle
    handle = await _begin(context, upload)
    async with context.store.work() as uow:
        now = await storage.upload_of(uow.connection, upload.dataset_id, upload.id)
        if now.handle == before and now.state == UploadState.OPEN:
            now = await UPLOADS.save(uow.connection, replace(now, handle=handle), now=uow.clock.now())
    if now.handle != handle and not upload.direct:
        await context.files.abort_upload(handle)
    now.size_of(1)
    assert now.handle is not None
    return now.handle


async def _begin(context: Context, upload: Upload) -> str:
    if upload.direct:
        return await linking(context).begin_direct(upload.archive)
    return await context.files.begin_upload(upload.archive, part_bytes=upload.part_size)


async def alive(context: Context, upload: Upload) -> str:
    """The id of a direct upload that the store knows: begun, or begun again where it has forgotten it."""
    if upload.handle is not None:
        try:
            await linking(context).direct_parts(upload.archive, upload.handle)
            return upload.handle
        except NotFound:
            pass
    return await begin(context, upload)


async def assemble(context: Context, upload: Upload, sha256: str | None) -> str | None:
    """The archive, in the file store; gives its SHA-256 where that is known to be right. Whoever comes after a kill
    finds it done, or does it again. Raises Conflict (`upload_incomplete`), WrongSum (`checksum_mismatch`)."""
    parts = await parts_of(context, upload)
    try:
        upload.check_complete({part.number: part.size for part in parts})
    except Conflict:
        if not await _is_stored(context, upload):
            raise
        if upload.direct:
            return None
    assert upload.handle is not None
    if not upload.direct:
        return await _joined(context, upload, upload.handle, sha256)
    sent = [part for part in parts if isinstance(part, DirectPart)]
    await linking(context).complete_direct(upload.archive, upload.handle, sent)
    return None


async def _joined(context: Context, upload: Upload, handle: str, sha256: str | None) -> str | None:
    try:
        return (await context.files.complete_upload(handle, sha256=sha256)).sha256
    except Invalid as wrong:
        if "found" not in wrong.extra:  # it is the store that got other bytes than we sent
            raise
        todo = "Send the parts that differ once more, or complete it with the right one."
        raise WrongSum(upload.name, wrong.extra["found"], sha256 or "", todo) from wrong


async def _is_stored(context: Context, upload: Upload) -> bool:
    try:
        return (await context.files.stat(upload.archive)).size == upload.size
    except NotFound:
        return False


async def note_activity(context: Context, upload_id: str, noted: datetime | None) -> None:
    """Something came; `noted` is when that was last written down."""
    now = context.store.clock.now()
    if noted is None or now - noted > _NOTED_EVERY:
        async with context.store.work() as uow:
            await storage.note_activity(uow.connection, upload_id, now)


async def forget(context: Context, upload: Upload) -> None:
    """Let the store throw away what came of an upload; nothing is no error."""
    if upload.direct:
        await linking(context).abort_direct(upload.archive)
    elif upload.handle is not None:
        await context.files.abort_upload(upload.handle)
