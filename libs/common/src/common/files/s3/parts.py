"""Uploads in parts that outlive every process, as objects of their own: `<id>/about`, `<id>/data/…`, `<id>/parts/…`.

S3's own multipart uploads can't do what the port promises: a part's SHA-256 can't be asked for, nothing can be read
before completion, so a checksum of the whole comes too late, and some servers forget them in a restart or refuse a
part that comes again. So the parts are plain objects, and completing copies them together within the server. A part
counts when the record that names its data is there: one small object, with everything in its name.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

import orjson

from common.files.draft import check_sum
from common.files.s3.sending import AT_ONCE, multipart
from common.files.s3.wire import SentPart, Wire
from common.files.uploads import check_number
from common.kernel.errors import Conflict, NotFound
from common.kernel.ids import is_id, new_id
from common.ports.files import Chunks, FileInfo, Part

SMALLEST_COPY = 5 << 20
"""Bytes that a part of S3's must have at least, unless it is the last."""

LARGEST_COPY = 1 << 30
"""Bytes that are copied by one request; S3 takes five times that, but not within an answer's time-out."""

_DELETES = 16


class Objects(Protocol):
    """Putting and getting by whole names; what `S3Files` lends."""

    async def put_named(
        self, name: str, key: str, content: bytes | Chunks, *, sha256: str | None = None, if_absent: bool = False
    ) -> FileInfo:
        """Store an object."""
        ...

    def get_named(self, name: str, key: str, start: int = 0, end: int | None = None) -> Chunks:
        """Its bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """A part and where its bytes are."""

    part: Part
    data: str


class PartStore:
    """The uploads below `root`, a prefix of the bucket."""

    def __init__(self, wire: Wire, root: str, objects: Objects, *, part_copy: bool) -> None:
        self._wire = wire
        self._root = root
        self._store = objects
        self._part_copy = part_copy
        self._completing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def begin(self, key: str) -> str:
        """A new upload for `key`; gives its id."""
        upload = new_id("upload")
        await self._note(upload, key, done=False, sha256=None)
        return upload

    async def put(self, upload: str, number: int, content: bytes | Chunks, sha256: str | None) -> Part:
        """Store the data, then the record that makes it count. What it replaces goes with the whole upload."""
        check_number(number)
        what, token = f"part {number} of {await self._going_on(upload)}", new_id("part")
        data = f"{self._root}{upload}/data/{token}"
        info = await self._store.put_named(data, what, content, sha256=sha256)
        part = Part(number, info.size, info.sha256 or "")
        record = f"{self._root}{upload}/parts/{number:05d}.{token}.{part.size}.{part.sha256}"
        await self._store.put_named(record, what, b"")
        await self._keep(upload, record, data)
        return part

    async def _keep(self, upload: str, *names: str) -> None:
        """Take them away again where the upload ended while they came. Whoever ends it notes that before it looks for
        what must go: either it saw these, or this sees the end."""
        try:
            await self._going_on(upload)
        except NotFound:
            await asyncio.gather(*(self._wire.delete(name) for name in names))
            raise

    async def _going_on(self, upload: str) -> str:
        """For which key it is. Raises NotFound (`upload_not_found`), also where it is complete."""
        about = await self._about(upload)
        if about["done"]:
            raise _unknown(upload)
        return str(about["key"])

    async def stored(self, upload: str) -> Sequence[Stored]:
        """The latest of each part, by number. Raises NotFound (`upload_not_found`)."""
        found = await self._listed(upload)
        await self._about(upload)
        latest = {stored.part.number: stored for stored in found}
        return [latest[number] for number in sorted(latest)]

    async def complete(self, upload: str, objects: str, sha256: str | None) -> tuple[str, str | None]:
        """Make the object; gives its key and its SHA-256 where that is known."""
        async with self._completing.setdefault(upload, asyncio.Lock()):
            about = await self._about(upload)
            if about["done"]:
                await self._drop_parts(upload)  # whoever noted it may have been killed before it did
                return str(about["key"]), about["sha256"]
            try:
                return await self._complete(upload, str(about["key"]), objects, sha256)
            except (NotFound, Conflict):
                about = await self._about(upload)  # another process may have completed it under our hands
                if not about["done"]:
                    raise
                return str(about["key"]), about["sha256"]

    async def _complete(self, upload: str, key: str, objects: str, sha256: str | None) -> tuple[str, str | None]:
        stored = _without_gap(await self.stored(upload))
        if (about := await self._about(upload))["done"]:  # then what was listed may be a rest
            return key, about["sha256"]
        known = await self._join(stored, key, objects, sha256)
        await self._going_on(upload)  # else noting the end would bring back what was aborted meanwhile
        await self._note(upload, key, done=True, sha256=known)
        await self._drop_parts(upload)
        return key, known

    async def _join(self, stored: Sequence[Stored], key: str, objects: str, sha256: str | None) -> str | None:
        """Put the object, by copying where the server can; gives its SHA-256 where that is known."""
        if not (self._part_copy and _may_be_copied(stored)):
            content = self._through(stored)
            return (await self._store.put_named(objects + key, key, content, sha256=sha256)).sha256
        known = stored[0].part.sha256 if len(stored) == 1 else await self._checked(stored, sha256)
        check_sum(key, known or "", sha256)
        await self._copy(stored, objects + key, {"sha256": known} if known else {})
        return known

    async def _checked(self, stored: Sequence[Stored], sha256: str | None) -> str | None:
        """The SHA-256 of all parts, where one is wanted."""
        if sha256 is None:
            return None
        digest = hashlib.sha256()
        async for chunk in self._through(stored):
            await asyncio.to_thread(digest.update, chunk)
        return digest.hexdigest()

    async def _copy(self, stored: Sequence[Stored], name: str, metadata: dict[str, str]) -> None:
        gate = asyncio.Semaphore(AT_ONCE)

        async def copy(one: Stored) -> SentPart:
            async with gate:
                return await self._wire.copy_part(name, upload, one.part.number, one.data, one.part.size)

        async with multipart(self._wire, name, metadata, summed=False) as upload:
            copies = [asyncio.create_task(copy(one)) for one in stored]
            try:
                parts = await asyncio.gather(*copies)
            finally:
                for task in copies:
                    task.cancel()
                await asyncio.gather(*copies, return_exceptions=True)
            await self._wire.complete_upload(name, upload, parts, if_absent=False)

    async def _through(self, stored: Sequence[Stored]) -> AsyncIterator[bytes]:
        """The bytes of all parts, through this process."""
        for one in stored:
            async for chunk in self._store.get_named(one.data, f"part {one.part.number}"):
                yield chunk

    async def abort(self, upload: str) -> None:
        """Throw an upload away, if it is there."""
        if is_id(upload, "upload"):
            await self._wire.delete(f"{self._root}{upload}/about")
            await self._drop_parts(upload)

    async def _listed(self, upload: str) -> list[Stored]:
        """Every part that has a record, oldest first for each number."""
        if not is_id(upload, "upload"):
            raise _unknown(upload)
        folder = f"{self._root}{upload}/"
        found = []
        async for record, _ in self._wire.list(f"{folder}parts/"):
            number, token, size, sha256 = record.removeprefix(f"{folder}parts/").split(".")
            found.append(Stored(Part(int(number), int(size), sha256), f"{folder}data/{token}"))
        return found

    async def _drop_parts(self, upload: str) -> None:
        """The records first: none is ever there without its data."""
        for folder in ("parts/", "data/"):
            names = [name async for name, _ in self._wire.list(f"{self._root}{upload}/{folder}")]
            for start in range(0, len(names), _DELETES):
                await asyncio.gather(*(self._wire.delete(name) for name in names[start : start + _DELETES]))

    async def _about(self, upload: str) -> dict[str, str | None]:
        """What was noted. Raises NotFound (`upload_not_found`)."""
        if not is_id(upload, "upload"):
            raise _unknown(upload)
        name = f"{self._root}{upload}/about"
        try:
            noted: dict[str, str | None] = orjson.loads(
                b"".join([chunk async for chunk in self._store.get_named(name, upload)])
            )
        except NotFound:
            raise _unknown(upload) from None
        return noted

    async def _note(self, upload: str, key: str, *, done: bool, sha256: str | None) -> None:
        noted = orjson.dumps({"key": key, "done": done, "sha256": sha256})
        await self._store.put_named(f"{self._root}{upload}/about", upload, noted)


def _without_gap(stored: Sequence[Stored]) -> Sequence[Stored]:
    """The same, from part 1 on without a gap and at least one. Raises Conflict (`upload_incomplete`)."""
    present = {one.part.number for one in stored}
    if missing := sorted(set(range(1, max(present, default=1) + 1)) - present):
        shown = ", ".join(map(str, missing[:10]))
        reason = f"Parts are missing: {shown}. Send them and complete it again."
        raise Conflict("upload_incomplete", reason, missing=missing)
    return stored


def _may_be_copied(stored: Sequence[Stored]) -> bool:
    """Whether S3 takes these as parts of its own; a small object is put faster than copied."""
    sizes = [one.part.size for one in stored]
    all_but_last = min(sizes[:-1], default=SMALLEST_COPY)
    return sum(sizes) >= SMALLEST_COPY and all_but_last >= SMALLEST_COPY and max(sizes) <= LARGEST_COPY


def _unknown(upload: str) -> NotFound:
    return NotFound("upload_not_found", f"There is no upload {upload!r} going on; begin a new one.")
