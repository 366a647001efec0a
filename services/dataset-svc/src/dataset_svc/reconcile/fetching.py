"""Bringing a source's files here: into one archive, which is then imported like any that was uploaded.

The archive is stored before it is read, so whoever is killed later does not fetch again; and it is a plain zip without
compression, so that the same checks and limits hold for what comes from anywhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from common.disk import telling_when_full
from common.kernel.errors import Invalid, NotFound
from common.sources import Found
from common.sources import Source as Opened
from dataset_svc.context import Context
from dataset_svc.domain.imports import Import
from dataset_svc.importing import Progress
from dataset_svc.storage import SOURCES
from dataset_svc.usecases.sources import opened

_SMALL = 1 << 16
"""Bytes that are written at once rather than in a thread."""

Tell = Callable[[Progress], None]


async def fetch(context: Context, item: Import, folder: Path, tell: Tell) -> None:
    """Store the archive of an import from a source, unless it is there already.

    Raises what the source raises, NotFound (`source_not_found`) where it was deleted, Invalid (`too_many_files`,
    `too_many_bytes`), StorageFull (`storage_full`).
    """
    try:
        await context.files.stat(item.archive)
        return
    except NotFound:
        pass
    async with context.store.reading() as connection:
        described = await SOURCES.get(connection, item.source_id or "")
    source = await opened(context, described, item.prefix)
    path = folder / "fetched.zip"
    try:
        with telling_when_full(f"what comes from {described.name}"):
            folder.mkdir(parents=True, exist_ok=True)
            await _Fetch(context, source, tell).into(path)
    finally:
        await source.close()
    await context.files.put_file(item.archive, path, move=True)


async def bring(context: Context, item: Import, path: Path, tell: Tell) -> str | None:
    """Copy the archive from the file store to `path`. Gives the SHA-256 of one that came straight to the store, as
    nobody has held it against that yet. Raises NotFound (`file_not_found`), StorageFull (`storage_full`)."""
    digest = hashlib.sha256() if item.direct else None
    began, done = context.store.clock.monotonic(), 0
    with telling_when_full(f"a copy of {item.name}"), path.open("wb") as file:
        async for chunk in context.files.get(item.archive):
            await asyncio.to_thread(_write, file, chunk, digest)
            done += len(chunk)
            spent = context.store.clock.monotonic() - began
            tell(Progress("fetching", done, max(item.size, done), 0, 0, done / spent if spent > 0 else 0.0))
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
        found = []
        async for one in self._source.files():
            found.append(one)
            if len(found) > self._settings.entries:
                raise Invalid("too_many_files", f"The source has more than {self._settings.entries} files.")
        total = sum(one.size for one in found)
        if total > self._settings.unpacked_bytes:
            raise Invalid("too_many_bytes", f"The source has {total} bytes; at most {self._settings.unpacked_bytes}.")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for one in found:
                await self._file(archive, one, lambda: self._progress(len(found), total))

    async def _file(self, archive: zipfile.ZipFile, one: Found, arrived: Callable[[], None]) -> None:
        """One file, each piece of which has `arrived`. More bytes than were listed are no reason to stop, but they
        count."""
        with archive.open(zipfile.ZipInfo(one.path), "w", force_zip64=True) as member:
            async for chunk in self._source.read(one.path):
                self._bytes += len(chunk)
                if self._bytes > self._settings.unpacked_bytes:
                    raise Invalid("too_many_bytes", f"More than {self._settings.unpacked_bytes} bytes came.")
                if len(chunk) > _SMALL:
                    await asyncio.to_thread(member.write, chunk)
                else:
                    member.write(chunk)
                arrived()
        self._files += 1
        arrived()

    def _progress(self, files: int, total: int) -> None:
        spent = self._clock.monotonic() - self._began
        rate = self._bytes / spent if spent > 0 else 0.0
        self._tell(Progress("fetching", self._bytes, max(total, self._bytes), self._files, files, rate))
