"""Uploads by the TUS protocol, on top of those in parts: bytes come in order, cut as the client likes.

What came is never asked for again: whole parts go to the file store as they fill, and the beginning of one that did not
fill (the client went away, or sends small pieces) is kept as a `tail` until more comes. The bytes of one part are in
memory, beside the piece that comes (a tail is there twice while it is taken up again), and what the file store needs
besides to store them. Bytes with a checksum are no bytes of the upload before the last of them has come and all are
right: up to 16 MiB of them wait in memory, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from io import BytesIO
from tempfile import SpooledTemporaryFile

import structlog

from common.kernel.errors import Invalid
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain import tus
from dataset_svc.domain.errors import WrongSum
from dataset_svc.domain.uploads import Upload, UploadState
from dataset_svc.storage import UPLOADS
from dataset_svc.usecases.arriving import note_activity
from dataset_svc.usecases.uploads import UploadStatus, abort_upload, complete_upload, find_upload, put_part

log = structlog.get_logger("uploads")

_PIECE = 1 << 20
_IN_MEMORY = 16 * _PIECE
"""Bytes up to which what is to be checked waits in memory, and not on this machine's disk."""


@dataclass(frozen=True)
class Standing:
    """How far an upload is: `offset` bytes from the first on are kept; `whole` parts of them, the rest as a tail.
    All are whole where the archive is there. `expires` is when it is given up where nothing more comes, as a header
    says it."""

    upload: Upload
    whole: int = 0
    tail: str | None = None
    offset: int = 0
    expires: str = ""


class _Filling:
    """The part that is being filled. What a BytesIO took is handed over without being copied."""

    def __init__(self, number: int, begun: bytes = b"") -> None:
        self.number, self.size = number, len(begun)
        self._data = BytesIO()
        self._data.write(begun)

    def add(self, some: memoryview) -> None:
        """More bytes."""
        self.size += self._data.write(some)

    def so_far(self) -> bytes:
        """What has come of it."""
        return self._data.getvalue()

    def whole(self) -> bytes:
        """The part, and from here on the next is filled."""
        part = self.so_far()
        self.number, self.size, self._data = self.number + 1, 0, BytesIO()
        return part


async def standing(context: Context, who: Principal, dataset_id: str, upload_id: str) -> Standing:
    """How far it is. Where every byte is there but a kill came before the import, the import is queued now: a client
    that is told so has nothing more to send. Raises NotFound (`upload_not_found`), UploadGone (`upload_gone`)."""
    now = await _standing(context, await find_upload(context, who, dataset_id, upload_id))
    if now.upload.state == UploadState.COMPLETED or now.whole < now.upload.part_count:
        return now
    try:
        await _complete(context, who, now.upload)
    except WrongSum as refused:
        raise tus.UploadGone("upload_gone", refused.detail) from None
    return await _standing(context, await find_upload(context, who, dataset_id, upload_id))


async def _complete(context: Context, who: Principal, upload: Upload) -> None:
    """Make the archive and queue its import. Where it is another than was announced (WrongSum) the upload is given up:
    nothing that could still be sent would mend it."""
    try:
        await complete_upload(context, who, upload.dataset_id, upload.id)
    except WrongSum as wrong:
        await abort_upload(context, who, upload.dataset_id, upload.id)
        todo = f"The upload {upload.id} is given up: begin anew."
        raise WrongSum(upload.name, wrong.found, wrong.announced, todo) from wrong


async def _standing(context: Context, found: UploadStatus) -> Standing:
    upload = found.upload
    tus.check_there(upload)
    if upload.state == UploadState.COMPLETED:
        return Standing(upload, upload.part_count, offset=upload.size)
    keys = [info.key async for info in context.files.list(upload.archive)]
    whole = upload.part_count if upload.archive in keys else tus.whole_parts(upload, found.parts)
    begun = f"{tus.tails_of(upload.archive)}{whole + 1}-"
    tails = {key: int(key.removeprefix(begun)) for key in keys if key.startswith(begun)}
    longest = max(tails, key=lambda key: tails[key], default=None)
    start = min(whole * upload.part_size, upload.size)
    offset = start + (tails[longest] if longest else 0)
    return Standing(upload, whole, longest, offset, await _expires(context, upload))


async def _expires(context: Context, upload: Upload) -> str:
    async with context.store.reading() as connection:
        last = await storage.last_activity(connection, upload.id)
    return tus.moment(last or upload.created_at, context.settings.upload_ttl)


async def append(
    context: Context,
    who: Principal,
    dataset_id: str,
    upload_id: str,
    offset: int | None,
    chunks: AsyncGenerator[bytes, None],
    gone: type[Exception],
    *,
    checksum: tus.Checksum | None = None,
) -> Standing:
    """Take bytes from `offset` on; with the last the archive is made and its import queued.

    A client that goes away (`chunks` raise `gone`) loses nothing that came, unless that had a checksum: part of it
    can't be checked. Nothing at the end of one that is complete is no error: so a client asks again that heard no
    answer. Raises BadRequest (`no_offset`), Conflict (`wrong_offset`, `upload_closed`), UploadGone (`upload_gone`),
    ChecksumMismatch (`checksum_mismatch`), Invalid (`too_many_bytes`; `checksum_mismatch` of the whole: it is given
    up).
    """
    now = await standing(context, who, dataset_id, upload_id)
    tus.check_offset(now.upload, offset, now.offset)
    filling = _Filling(now.whole + 1, await context.files.read(now.tail) if now.tail else b"")
    if checksum is not None:
        chunks = _checked(context, now, chunks, checksum)
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                await _take(context, who, now.upload, filling, chunk)
    except gone:
        log.info("client went away", upload=upload_id, kept=filling.size)
    await _keep(context, now.upload, filling, now.tail)
    if filling.number > now.upload.part_count:
        await _complete(context, who, now.upload)
    return await standing(context, who, dataset_id, upload_id)


async def _checked(
    context: Context, now: Standing, chunks: AsyncIterator[bytes], checksum: tus.Checksum
) -> AsyncGenerator[bytes, None]:
    """The same bytes, once all have come and are right."""
    await asyncio.to_thread(context.scratch.mkdir, parents=True, exist_ok=True)
    taken, left = checksum.begun(), now.upload.size - now.offset
    with SpooledTemporaryFile(_IN_MEMORY, dir=str(context.scratch)) as waiting:
        async for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                raise _too_many(now.upload)
            await asyncio.to_thread(taken.update, chunk)
            await asyncio.to_thread(waiting.write, chunk)
        checksum.check(taken)
        waiting.seek(0)
        while piece := await asyncio.to_thread(waiting.read, _PIECE):
            yield piece


async def _take(context: Context, who: Principal, upload: Upload, filling: _Filling, chunk: bytes) -> None:
    """Some more bytes; parts that are full go to the file store."""
    rest = memoryview(chunk)
    while rest:
        if filling.number > upload.part_count:
            raise _too_many(upload)
        lacking = upload.size_of(filling.number) - filling.size
        filling.add(rest[:lacking])
        if len(rest) >= lacking:
            await _put(context, who, upload, filling)
        rest = rest[lacking:]


async def _put(context: Context, who: Principal, upload: Upload, filling: _Filling) -> None:
    number, size = filling.number, filling.size
    await put_part(context, who, upload.dataset_id, upload.id, number, _once(filling.whole()), length=size)


def _too_many(upload: Upload) -> Invalid:
    return Invalid("too_many_bytes", f"The upload {upload.id} has {upload.size} bytes; more arrived.")


async def _keep(context: Context, upload: Upload, filling: _Filling, before: str | None) -> None:
    """Keep the beginning of a part, then throw the shorter one away."""
    kept = f"{tus.tails_of(upload.archive)}{filling.number}-{filling.size}" if filling.size else None
    if kept is not None and kept != before:
        await context.files.put(kept, filling.so_far())
        await _note(context, upload.id, kept)
    if before is not None and before != kept:
        await context.files.delete(before)


async def _note(context: Context, upload_id: str, kept: str) -> None:
    """Something came. Where the upload was closed meanwhile it goes again: tidying may have been here before it."""
    async with context.store.reading() as connection:
        noted = await storage.last_activity(connection, upload_id)
        upload = await UPLOADS.get(connection, upload_id)
    if upload.state == UploadState.OPEN:
        await note_activity(context, upload_id, noted)
    else:
        await context.files.delete(kept)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
