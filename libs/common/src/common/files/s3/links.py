"""Links, so that bytes go to and from the store without passing through a service; also for uploads in parts.

These uploads are S3's own, so that nothing is copied when they are completed: the parts are the object. What S3 can't
do for them (a SHA-256 that can be asked for, a check before the object is there) is left to whoever reads it first.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from common.files.keys import check_key
from common.files.s3.wire import SentPart, Wire
from common.files.uploads import check_number
from common.kernel.errors import Invalid, NotFound
from common.ports.files import DirectPart

LONGEST_LINK = 7 * 24 * 3600
"""Seconds that a signed link may hold (signature version 4)."""

SMALLEST_PART = 5 << 20
"""Bytes that every part but the last must have."""


class Links:
    """The part of `Linking` that is more than `Files`. `_objects` is the prefix of all objects in the bucket."""

    _objects: str
    _wire: Wire

    async def presign_get(
        self, key: str, seconds: int, *, name: str | None = None, span: tuple[int, int] | None = None
    ) -> str:
        """An address from which anybody can load the object, as an attachment (called `name`), for that long (at most
        a week); with `span` only these bytes of it: the range is signed too."""
        check_key(key)
        shown = "attachment" if name is None else f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        more = {"ResponseContentDisposition": shown}
        if span is not None:
            more["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        return await self._wire.link("get_object", self._objects + key, _held(seconds), **more)

    async def presign_put(self, key: str, seconds: int) -> str:
        """An address to which anybody can put the object for that long. Its content is not checked."""
        check_key(key)
        return await self._wire.link("put_object", self._objects + key, _held(seconds))

    async def begin_direct(self, key: str) -> str:
        """Begin an upload whose parts go straight to the server; gives its id."""
        check_key(key)
        return await self._wire.create_upload(self._objects + key, {}, summed=False)

    async def presign_part(self, key: str, upload: str, number: int, size: int, seconds: int) -> str:
        """An address to which anybody can put that part for that long; its length is signed with it."""
        check_key(key)
        check_number(number)
        more = {"UploadId": upload, "PartNumber": number, "ContentLength": size}
        return await self._wire.link("upload_part", self._objects + key, _held(seconds), **more)

    async def direct_parts(self, key: str, upload: str) -> Sequence[DirectPart]:
        """The parts that have arrived, by number. Raises NotFound (`upload_not_found`)."""
        check_key(key)
        try:
            return [part async for part in self._wire.sent_parts(self._objects + key, upload)]
        except NotFound as gone:
            raise _unknown(key) from gone

    async def complete_direct(self, key: str, upload: str, parts: Sequence[DirectPart]) -> None:
        """Make the object of these parts. Doing it twice is doing it once. Raises NotFound (`upload_not_found`)."""
        check_key(key)
        sent = [SentPart(part.number, part.etag, None) for part in parts]
        try:
            await self._wire.complete_upload(self._objects + key, upload, sent, if_absent=False)
        except NotFound as gone:
            if not await self._has(key, sum(part.size for part in parts)):
                raise _unknown(key) from gone

    async def _has(self, key: str, size: int) -> bool:
        try:
            return (await self._wire.head(self._objects + key)).size == size
        except NotFound:
            return False

    async def abort_direct(self, key: str) -> None:
        """Throw away every such upload to that key, also one whose id nobody kept; none is no error."""
        check_key(key)
        async for name, upload in self._wire.uploads(self._objects + key):
            if name == self._objects + key:
                await self._wire.abort_upload(name, upload)


def _unknown(key: str) -> NotFound:
    return NotFound("upload_not_found", f"There is no upload to {key!r} going on; begin a new one.")


def _held(seconds: int) -> int:
    if not 1 <= seconds <= LONGEST_LINK:
        raise Invalid("bad_link_time", f"A link holds from 1 to {LONGEST_LINK} seconds, not {seconds}.")
    return seconds
