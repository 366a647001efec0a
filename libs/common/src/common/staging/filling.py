"""Fetching the files of a list: some pieces on their way at once, each checked as it is written.

One request at a time would wait for the store's answers, and most of all for a store at the other end of a network.
Memory holds no more than the pieces that are on their way, however large the list is.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any, Protocol

from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.kernel.errors import Problem
from common.manifests import Entry, batches, header
from common.ports.files import Files
from common.ports.staging import Listing, Read
from common.staging.folder import FolderWriter, check_content, write_whole
from common.staging.runs import Run, plan
from common.threads import to_the_end

AT_ONCE = 4
"""Pieces on their way: enough that a store's answers overlap, and 32 MiB of small files in memory at most."""

COPIES_AT_ONCE = 8
"""Files that are copied at the same time: each is a request of its own, and waits for its answer."""

Done = Callable[[int], None]
"""Is told of bytes that are there."""

Work = Coroutine[Any, Any, None]


class Watch(Protocol):
    """Somebody who wants each file as it comes."""

    async def take(self, writer: FolderWriter, entry: Entry) -> bool:
        """Whether the file was had already, and is written now."""
        ...

    async def arrived(self, entry: Entry) -> None:
        """The file is written whole, and checked."""
        ...


async def fill(
    files: Files,
    threads: Executor,
    writer: FolderWriter,
    *,
    ref: ManifestRef,
    done: Done,
    watch: Watch | None = None,
    at_once: int = AT_ONCE,
) -> None:
    """Write every file of a list. Raises what the store does, Problem (`staging_failed`) that names a damaged file,
    StorageFull (`storage_full`); what was on its way has ended by then."""
    filling = _Filling(files, threads, writer, done, watch)
    async with aclosing(filling.works(ref)) as works:
        await side_by_side(works, at_once)


async def copy(threads: Executor, writer: FolderWriter, *, listing: Listing, read: Read, done: Done) -> None:
    """Write every file of a listing. Raises what `read` does, Invalid (`bad_path`), Problem (`staging_failed`) that
    names a file which is not as it was listed, StorageFull (`storage_full`)."""

    async def one(path: str, size: int) -> None:
        with telling_when_full(path):
            descriptor = await to_the_end(threads, writer.create, path)
            try:
                came = 0
                async for chunk in read(path):
                    await to_the_end(threads, write_whole, descriptor, chunk)
                    came += len(chunk)
            finally:
                os.close(descriptor)
        if came != size:
            raise Problem("staging_failed", f"{path!r} has {came} bytes and was listed with {size}: it was changed.")
        done(size)

    async def works() -> AsyncGenerator[Work, None]:
        for path, size, _ in listing.files:
            yield one(path, size)

    async with aclosing(works()) as all_of_it:
        await side_by_side(all_of_it, COPIES_AT_ONCE)


async def side_by_side(works: AsyncIterator[Work], at_once: int = AT_ONCE) -> None:
    """Do all of it, so many at once. The first that fails ends the others, and what it raised is raised."""
    under_way: set[asyncio.Task[None]] = set()
    try:
        async for work in works:
            under_way.add(asyncio.create_task(work))
            if len(under_way) >= at_once:
                under_way = await _one_less(under_way)
        while under_way:
            under_way = await _one_less(under_way)
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _one_less(under_way: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those that go on once one has ended."""
    ended, rest = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    failures = [failure for task in ended if (failure := task.exception()) is not None]
    if failures:
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        raise failures[0]
    return rest


class _Filling:
    """One list on its way into one folder."""

    def __init__(self, files: Files, threads: Executor, writer: FolderWriter, done: Done, watch: Watch | None) -> None:
        self._files, self._threads, self._writer, self._done = files, threads, writer, done
        self._watch = watch
        self._writing = asyncio.Lock()  # reading overlaps; small files written by several threads take twice as long

    async def works(self, ref: ManifestRef) -> AsyncGenerator[Work, None]:
        """What there is to do, a piece each."""
        head = await header(self._files, ref)
        async for entries in batches(self._files, ref):
            for run in plan(await self._wanted(entries)):
                key = head.objects[run.object]
                yield self._small(key, run) if run.whole else self._large(key, run.entries[0])

    async def _wanted(self, entries: list[Entry]) -> list[Entry]:
        """Those that have to be fetched."""
        if self._watch is None:
            return entries
        wanted = []
        for entry in entries:
            if await self._watch.take(self._writer, entry):
                self._done(entry.size)
            else:
                wanted.append(entry)
        return wanted

    async def _there(self, entries: Sequence[Entry]) -> None:
        self._done(sum(entry.size for entry in entries))
        if self._watch is not None:
            for entry in entries:
                await self._watch.arrived(entry)

    async def _small(self, key: str, run: Run) -> None:
        """Several small files with one reading."""
        data = await self._read(key, run) if run.end > run.start else b""
        async with self._writing:
            await to_the_end(self._threads, self._writer.write_all, run.entries, run.start, data)
        await self._there(run.entries)

    async def _read(self, key: str, run: Run) -> bytes:
        try:
            return await self._files.read(key, run.start, run.end)
        except Problem as problem:
            if problem.code != "file_corrupt":
                raise
        middle = (run.start + run.end) // 2  # halves are held against no sum but the files' own, which names the one
        return await self._files.read(key, run.start, middle) + await self._files.read(key, middle, run.end)

    async def _large(self, key: str, entry: Entry) -> None:
        """One large file, a chunk in memory at a time."""
        digest, size = hashlib.sha256(), 0
        descriptor = self._writer.create(entry.path)
        try:
            async for chunk in self._files.get(key, entry.offset, entry.offset + entry.size):
                await to_the_end(self._threads, write_whole, descriptor, chunk)
                await to_the_end(self._threads, digest.update, chunk)
                size += len(chunk)
        except Problem as problem:
            if problem.code != "file_corrupt":
                raise  # else the sum of the file itself tells
        finally:
            os.close(descriptor)
        check_content(entry, size, digest.hexdigest())
        await self._there([entry])
