"""Objects in a bucket: `<prefix>objects/` holds them under their keys, `<prefix>uploads/` what comes in parts.

Content is hashed on the way in, the server holds each block against its hash, and the hash of the whole is kept as
the metadata `sha256`, against which a whole object is held when it is read. It is unknown (None) for an object of
more than one block (8 MiB) whose sender didn't say it beforehand, as S3 wants metadata before content.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakValueDictionary

from common.files.draft import check_sum
from common.files.keys import check_key, check_prefix, check_range
from common.files.s3.ahead import WINDOW, ahead
from common.files.s3.blocks import Digests, blocks, file_chunks, file_digest
from common.files.s3.links import SMALLEST_PART, Links
from common.files.s3.parts import PartStore
from common.files.s3.sending import send
from common.files.s3.settings import S3Settings
from common.files.s3.wire import Head, Wire
from common.kernel.errors import Conflict, NotFound, Problem
from common.kernel.ids import new_id
from common.ports.files import Chunks, FileInfo, FilesCapabilities, Part

_HASHED = 2 << 20
"""Bytes that are worth handing over to a thread."""


class S3Files(Links):
    """The `Files` port, and its links (`Linking`), on S3. Nothing is connected before the first request.

    `if_absent`: exact among the users of one `S3Files`, and among all where the server's conditional PUT is. Where
    it has none (`conditional` False) an object that another process puts at the same moment may be replaced.
    """

    capabilities = FilesCapabilities(local_paths=False, presign=True, smallest_direct=SMALLEST_PART)

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._objects = f"{settings.prefix}objects/"
        self._wire = Wire(settings)
        self._parts = PartStore(self._wire, f"{settings.prefix}uploads/", self, part_copy=settings.part_copy)
        self._creating: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def wedge(self, reason: str | None) -> None:
        """The server is known to be silent, or (None) no more. Nothing begins to wait for it meanwhile."""
        self._wire.wedge(reason)

    async def prepare(self) -> None:
        """Make the bucket where there is none; for the operator's tools. Raises Unavailable."""
        await self._wire.create_bucket()

    async def probe(self) -> S3Settings:
        """The settings with what this server really does about `If-None-Match`. Leaves nothing behind."""
        name, nothing = f"{self._settings.prefix}probes/{new_id('probe')}", Digests()
        try:
            for _ in range(2):
                await self._wire.put(name, b"", nothing.value(), {}, if_absent=True)
        except Conflict:
            return dataclasses.replace(self._settings, conditional=True)
        finally:
            await self._wire.delete(name)
        return dataclasses.replace(self._settings, conditional=False)

    async def put(
        self, key: str, content: bytes | Chunks, *, sha256: str | None = None, if_absent: bool = False
    ) -> FileInfo:
        """Store an object; see the port. Memory holds a few blocks of 8 MiB, however large it is."""
        check_key(key)
        if if_absent and self._settings.conditional is None:
            self._settings = await self.probe()
        async with self._first(key, if_absent):
            return await self.put_named(self._objects + key, key, content, sha256=sha256, if_absent=if_absent)

    async def put_named(
        self, name: str, key: str, content: bytes | Chunks, *, sha256: str | None = None, if_absent: bool = False
    ) -> FileInfo:
        """`put` under a whole name of the bucket, told as `key`."""
        digests, cut = Digests(), blocks(content)
        conditional = if_absent and bool(self._settings.conditional)
        async with aclosing(cut):
            first = await anext(cut)
            second = await anext(cut, None)
            if second is None:
                await digests.add(first)
                found = digests.value()
                check_sum(key, found, sha256)
                await self._wire.put(name, first, found, {"sha256": found}, if_absent=conditional)
            else:
                everything = _chained(first, second, cut)
                del first, second
                await send(self._wire, name, everything, digests, sha256=sha256, if_absent=conditional)
        return FileInfo(key, digests.size, datetime.now(UTC), digests.value())

    @asynccontextmanager
    async def _first(self, key: str, if_absent: bool) -> AsyncIterator[None]:
        """One at a time where only the first may put: some servers' conditional PUT lets two at once both in."""
        if not if_absent:
            yield
            return
        async with self._creating.setdefault(key, asyncio.Lock()):
            if not self._settings.conditional and await self._is_there(key):
                raise Conflict("file_exists", f"There is an object {key!r} already.", key=key)
            yield

    async def _is_there(self, key: str) -> bool:
        try:
            await self.stat(key)
        except NotFound:
            return False
        return True

    async def put_file(self, key: str, path: Path, *, move: bool = False) -> FileInfo:
        """Store a local file; see the port. It is read twice, so that its SHA-256 goes with it."""
        check_key(key)
        found = await asyncio.to_thread(file_digest, path)
        info = await self.put(key, file_chunks(path), sha256=found)
        if move:
            path.unlink()
        return info

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to `end`. Where they are the whole object, it is held against its SHA-256.

        Raises Problem (`file_corrupt`) after the last of them.
        """
        check_range(key, start, end)
        async with aclosing(self.get_named(self._objects + key, key, start, end)) as found:
            async for chunk in found:
                yield chunk

    async def get_named(
        self, name: str, key: str, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """`get` of a whole name of the bucket."""
        if end is not None and end <= start:
            await self._wire.head(name)
            return
        window = start + WINDOW if end is None else min(end, start + WINDOW)
        async with self._wire.get(name, start, window) as (head, body):
            stop = head.size if end is None else min(end, head.size)
            pieces = self._pieces(name, head, body, start, stop)
            if start == 0 and stop == head.size and head.sha256 is not None:
                pieces = _verified(key, head.sha256, pieces)
            async with aclosing(pieces):
                async for chunk in pieces:
                    yield chunk

    async def _pieces(
        self, name: str, head: Head, body: AsyncIterator[bytes], start: int, stop: int
    ) -> AsyncGenerator[bytes, None]:
        """The first answer's bytes, then what is behind them: nobody who reads only the beginning pays for more."""
        follows = ahead(self._wire, name, head, head.until, stop)
        async with aclosing(_between(body, start - head.at, stop - head.at)) as first, aclosing(follows) as rest:
            async for chunk in first:
                yield chunk
            async for chunks in rest:
                for chunk in chunks:
                    yield chunk

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The same bytes at once."""
        return b"".join([chunk async for chunk in self.get(key, start, end)])

    async def stat(self, key: str) -> FileInfo:
        """What is known of an object."""
        check_key(key)
        return _info(key, await self._wire.head(self._objects + key))

    async def list(self, prefix: str = "") -> AsyncIterator[FileInfo]:
        """Every object whose key starts with `prefix`, in the order of keys, a page of 1,000 in memory at a time."""
        check_prefix(prefix)
        async with aclosing(self._wire.list(self._objects + prefix)) as found:
            async for name, head in found:
                yield _info(name.removeprefix(self._objects), head)

    async def delete(self, key: str) -> None:
        """Remove an object; removing an absent one is no error."""
        check_key(key)
        if self._settings.flat or await self._is_there(key):
            await self._wire.delete(self._objects + key)

    async def begin_upload(self, key: str, *, part_bytes: int | None = None) -> str:
        """Begin an upload in parts; its id is good until it is completed or aborted."""
        check_key(key)
        return await self._parts.begin(key)

    async def put_part(self, upload: str, number: int, content: bytes | Chunks, *, sha256: str | None = None) -> Part:
        """Store one part; see the port. Raises Invalid (`bad_part_number`)."""
        return await self._parts.put(upload, number, content, sha256)

    async def parts(self, upload: str) -> Sequence[Part]:
        """The parts that arrived, by number. Raises NotFound (`upload_not_found`)."""
        return [stored.part for stored in await self._parts.stored(upload)]

    async def complete_upload(self, upload: str, *, sha256: str | None = None) -> FileInfo:
        """Make the object from its parts, within the server where it can copy. Raises Conflict
        (`upload_incomplete`), Invalid (`checksum_mismatch`; the parts stay). With `sha256` they are read once."""
        key, known = await self._parts.complete(upload, self._objects, sha256)
        info = await self.stat(key)
        return dataclasses.replace(info, sha256=info.sha256 or known)

    async def abort_upload(self, upload: str) -> None:
        """Throw the parts away; an unknown upload is no error."""
        await self._parts.abort(upload)

    def local_path(self, key: str) -> Path | None:
        """None: objects are not files here."""
        check_key(key)
        return None

    async def close(self) -> None:
        """Close the connections."""
        await self._wire.close()


async def _chained(first: bytes, second: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    del first
    yield second
    del second
    async for block in rest:
        yield block


async def _between(body: AsyncIterator[bytes], skip: int, stop: int) -> AsyncGenerator[bytes, None]:
    """The bytes of `body` from `skip` up to `stop`: a server that ignores ranges sends more than was asked for."""
    at = 0
    async for chunk in body:
        wanted = chunk[max(0, skip - at) : max(0, stop - at)]
        at += len(chunk)
        if wanted:
            yield wanted
        if at >= stop:
            return


async def _verified(key: str, sha256: str, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """A whole object; what came is hashed while more is on its way."""
    digest, waiting, length = hashlib.sha256(), list[bytes](), 0
    hashing: asyncio.Task[None] | None = None
    try:
        async for chunk in body:
            waiting.append(chunk)
            length += len(chunk)
            if length >= _HASHED:
                if hashing is not None:
                    await hashing
                hashing = asyncio.create_task(asyncio.to_thread(_update, digest, waiting))
                waiting, length = [], 0
            yield chunk
    finally:
        if hashing is not None:
            await hashing
    _update(digest, waiting)
    if digest.hexdigest() != sha256:
        raise Problem("file_corrupt", f"{key!r} in the file store isn't what was put there; restore it from a copy.")


def _update(digest: hashlib._Hash, chunks: Sequence[bytes]) -> None:
    for chunk in chunks:
        digest.update(chunk)


def _info(key: str, head: Head) -> FileInfo:
    return FileInfo(key, head.size, head.modified, head.sha256)
