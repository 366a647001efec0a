"""Bringing a source's files here: into one archive, which is then imported like any that was uploaded.

The archive is stored before it is read, so whoever is killed later does not fetch again; and it is a plain zip without
compression, so that the same checks and limits hold for what comes from anywhere. Small files are read some at a time,
as one after the other would wait for each answer; in the archive they stand in the order of the list.
"""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import IO, Any, BinaryIO

from common.disk import telling_when_full
from common.kernel.errors import Invalid, NotFound, Unavailable
from common.sources import Found
from common.sources import Source as Opened
from dataset_svc.context import Context
from dataset_svc.domain.imports import Import
from dataset_svc.domain.sources import Source, SourceAway
from dataset_svc.importing import Progress
from dataset_svc.storage import SOURCES
from dataset_svc.usecases.sources import opened

_SMALL = 1 << 16
"""Bytes that are written at once rather than in a thread."""

AT_ONCE = 8
"""Files whose bytes come at the same time."""

WHOLE = 1 << 20
"""Bytes up to which a file is read before its turn: so many for each of those at once are held in memory."""

Tell = Callable[[Progress], None]


async def fetch(context: Context, item: Import, folder: Path, tell: Tell) -> None:
    """Store the archive of an import from a source, unless it is there already.

    Raises SourceAway where the source does not answer, what it raises else, NotFound (`source_not_found`) where it was
    deleted, Invalid (`too_many_files`, `too_many_bytes`, `too_slow`), StorageFull (`storage_full`).
    """
    try:
        await context.files.stat(item.archive)
        return
    except NotFound:
        pass
    async with context.store.reading() as connection:
        described = await SOURCES.get(connection, item.source_id or "")
    path = folder / "fetched.zip"
    with telling_when_full(f"what comes from {described.name}"):
        folder.mkdir(parents=True, exist_ok=True)
        await _within(context.settings.import_seconds, _from(context, described, item.prefix, path, tell))
    await context.files.put_file(item.archive, path, move=True)


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Raises Invalid (`too_slow`) for work that has not ended by then."""
    try:
        async with asyncio.timeout(seconds) as limit:
            await work
    except TimeoutError as late:
        if not limit.expired():
            raise
        detail = f"The source had not given all of its files after {seconds:g} seconds, and an import may take no more."
        what_to_do = "Import less at once, by a longer prefix, or ask an administrator for more time."
        raise Invalid("too_slow", f"{detail} {what_to_do}") from late


async def _from(context: Context, described: Source, prefix: str, path: Path, tell: Tell) -> None:
    """An archive of what lies in a source. What is away in here is the source, and nothing of the platform."""
    try:
        source = await opened(context, described, prefix)
        try:
            await _Fetch(context, source, tell).into(path)
        finally:
            await source.close()
    except Unavailable as away:
        raise SourceAway(away.code, away.detail) from away


async def bring(context: Context, item: Import, path: Path, tell: Tell) -> str | None:
    """Copy the archive from the file store to `path`. Gives its SHA-256 where nobody knows that yet. Raises NotFound
    (`file_not_found`), StorageFull (`storage_full`)."""
    digest = hashlib.sha256() if item.to_be_hashed else None
    began, done = context.store.clock.monotonic(), 0
    size = item.size or (await context.files.stat(item.archive)).size
    with telling_when_full(f"a copy of {item.name}"), path.open("wb") as file:
        async for chunk in context.files.get(item.archive):
            await asyncio.to_thread(_write, file, chunk, digest)
            done += len(chunk)
            spent = context.store.clock.monotonic() - began
            tell(Progress("fetching", done, max(size, done), 0, 0, done / spent if spent > 0 else 0.0))
    return digest.hexdigest() if digest is not None else None


def _write(file: BinaryIO, chunk: bytes, digest: hashlib._Hash | None) -> None:
    file.write(chunk)
    if digest is not None:
        digest.update(chunk)


class _Fetch:
    """One fetching under way."""

    def __init__(self, context: Context, source: Opened, tell: Tell) -> None:
        self._settings, self._source, self._tell = context.settings, source, tell
        self._clock = context.store.clock
        self._began = self._clock.monotonic()
        self._files = self._bytes = 0

    async def into(self, path: Path) -> None:
        """Every file of the source, as an archive."""
        found = await self._listed()
        total = sum(one.size for one in found)
        if total > self._settings.unpacked_bytes:
            raise Invalid(
                "too_many_bytes", f"The source has {total:,} bytes there{self._most(self._settings.unpacked_bytes)}"
            )
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            async with aclosing(self._ahead(found)) as files:
                async for one, data in files:
                    await self._file(archive, one, data, lambda: self._progress(len(found), total))

    async def _listed(self) -> list[Found]:
        found = []
        async with aclosing(self._source.files()) as files:
            async for one in files:
                found.append(one)
                if len(found) > self._settings.entries:
                    raise Invalid(
                        "too_many_files", f"The source has more files there{self._most(self._settings.entries)}"
                    )
        return found

    @staticmethod
    def _most(limit: int) -> str:
        return f"; an import may have {limit:,}. Import less at once, by a longer prefix, or ask an administrator."

    async def _ahead(self, found: Sequence[Found]) -> AsyncGenerator[tuple[Found, bytes | None], None]:
        """Each file in its turn: a small one with its bytes, which were read while those before it were."""
        coming: deque[tuple[Found, asyncio.Task[bytes | None]]] = deque()
        try:
            for one in found:
                coming.append((one, asyncio.create_task(self._whole(one))))
                if len(coming) == AT_ONCE:
                    first, task = coming[0]
                    yield first, await task
                    coming.popleft()
            for one, task in coming:
                yield one, await task
        finally:
            for _, task in coming:
                task.cancel()
            await asyncio.gather(*(task for _, task in coming), return_exceptions=True)

    async def _whole(self, one: Found) -> bytes | None:
        """The bytes of a small file; None of one that is large, or has become so since it was listed."""
        if one.size > WHOLE:
            return None
        data = bytearray()
        async with aclosing(self._source.read(one.path)) as chunks:
            async for chunk in chunks:
                data += chunk
                if len(data) > WHOLE:
                    return None
        return bytes(data)

    async def _file(
        self, archive: zipfile.ZipFile, one: Found, data: bytes | None, arrived: Callable[[], None]
    ) -> None:
        """One file, each piece of which has `arrived`; without `data` it is read now. More bytes than were listed are
        no reason to stop, but they count."""
        with archive.open(zipfile.ZipInfo(one.path), "w", force_zip64=True) as member:
            if data is not None:
                await self._piece(member, data)
            else:
                async with aclosing(self._source.read(one.path)) as chunks:
                    async for chunk in chunks:
                        await self._piece(member, chunk)
                        arrived()
        self._files += 1
        arrived()

    async def _piece(self, member: IO[bytes], chunk: bytes) -> None:
        self._bytes += len(chunk)
        if self._bytes > self._settings.unpacked_bytes:
            raise Invalid(
                "too_many_bytes", f"More bytes came than were listed{self._most(self._settings.unpacked_bytes)}"
            )
        if len(chunk) > _SMALL:
            await asyncio.to_thread(member.write, chunk)
        else:
            member.write(chunk)

    def _progress(self, files: int, total: int) -> None:
        spent = self._clock.monotonic() - self._began
        rate = self._bytes / spent if spent > 0 else 0.0
        self._tell(Progress("fetching", self._bytes, max(total, self._bytes), self._files, files, rate))
