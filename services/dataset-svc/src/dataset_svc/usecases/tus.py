"""Uploads by the TUS protocol, on top of those in parts: bytes come in order, cut as the client likes.

What came is never asked for again: whole parts go to the file store as they fill, and the beginning of one that did not
fill (the client went away, or sends small pieces) is kept as a `tail` until more comes. Bytes of at most one part are
in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog

from common.kernel.errors import Invalid
from common.ports.files import Files
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain import tus
from dataset_svc.domain.uploads import Upload, UploadState
from dataset_svc.usecases.arriving import note_activity
from dataset_svc.usecases.uploads import UploadStatus, complete_upload, find_upload, put_part

log = structlog.get_logger("uploads")


@dataclass(frozen=True)
class Standing:
    """How far an upload is: `offset` bytes from the first on are kept; `whole` parts of them, the rest as a tail."""

    upload: Upload
    whole: int = 0
    tail: str | None = None
    offset: int = 0


@dataclass
class _Filling:
    """The part that is being filled."""

    number: int
    data: bytearray = field(default_factory=bytearray)


async def standing(context: Context, who: Principal, dataset_id: str, upload_id: str) -> Standing:
    """How far it is. Raises NotFound (`upload_not_found`)."""
    return await _standing(context, await find_upload(context, who, dataset_id, upload_id))


async def _standing(context: Context, found: UploadStatus) -> Standing:
    upload = found.upload
    if upload.state != UploadState.OPEN:
        return Standing(upload, offset=upload.size if upload.state == UploadState.COMPLETED else 0)
    whole = tus.whole_parts(upload, found.parts)
    tails = {key: int(key.rpartition("-")[2]) for key in await _tails(context.files, upload, whole + 1)}
    longest = max(tails, key=lambda key: tails[key], default=None)
    start = min(whole * upload.part_size, upload.size)
    return Standing(upload, whole, longest, start + (tails[longest] if longest else 0))


async def _tails(files: Files, upload: Upload, number: int) -> list[str]:
    return [info.key async for info in files.list(f"{tus.tails_of(upload.archive)}{number}-")]


async def append(
    context: Context,
    who: Principal,
    dataset_id: str,
    upload_id: str,
    offset: int | None,
    chunks: AsyncIterator[bytes],
    gone: type[Exception],
) -> Standing:
    """Take bytes from `offset` on; with the last the archive is made and its import queued.

    A client that goes away (`chunks` raise `gone`) loses nothing that came. Raises BadRequest (`no_offset`), Conflict
    (`wrong_offset`, `upload_closed`), Invalid (`too_many_bytes`, `checksum_mismatch`).
    """
    now = await standing(context, who, dataset_id, upload_id)
    now.upload.size_of(1)  # it must be open
    tus.check_offset(now.upload, offset, now.offset)
    filling = _Filling(now.whole + 1, bytearray(await context.files.read(now.tail)) if now.tail else bytearray())
    try:
        async for chunk in chunks:
            await _take(context, who, now.upload, filling, chunk)
    except gone:
        log.info("client went away", upload=upload_id, kept=len(filling.data))
    await _keep(context, now.upload, filling, now.tail)
    if filling.number > now.upload.part_count:
        await complete_upload(context, who, dataset_id, upload_id)
    return await standing(context, who, dataset_id, upload_id)


async def _take(context: Context, who: Principal, upload: Upload, filling: _Filling, chunk: bytes) -> None:
    """Some more bytes; parts that are full go to the file store."""
    filling.data += chunk
    while filling.number <= upload.part_count and len(filling.data) >= (size := upload.size_of(filling.number)):
        part = bytes(filling.data[:size])
        await put_part(context, who, upload.dataset_id, upload.id, filling.number, _once(part), length=size)
        del filling.data[:size]
        filling.number += 1
    if filling.number > upload.part_count and filling.data:
        raise Invalid("too_many_bytes", f"The upload {upload.id} has {upload.size} bytes; more arrived.")


async def _keep(context: Context, upload: Upload, filling: _Filling, before: str | None) -> None:
    """Keep the beginning of a part, then throw the shorter one away."""
    kept = f"{tus.tails_of(upload.archive)}{filling.number}-{len(filling.data)}" if filling.data else None
    if kept is not None and kept != before:
        await context.files.put(kept, bytes(filling.data))
        async with context.store.reading() as connection:
            noted = await storage.last_activity(connection, upload.id)
        await note_activity(context, upload.id, noted)
    if before is not None and before != kept:
        await context.files.delete(before)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
