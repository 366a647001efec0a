"""Staging into a cache folder of this machine.

Folders are named by content (and by how it is split), so all that ask for the same share one. A folder is built out
of sight and appears at once; who comes while it is built, in this process or another, waits for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.kernel.clock import Clock, SystemClock
from common.kernel.errors import Invalid, NotFound, Problem, Unavailable
from common.manifests import Entry, batches
from common.ports.files import Files
from common.ports.staging import Listing, Read, StageProgress, StageRequest
from common.staging.filling import copy, fill
from common.staging.folder import FolderWriter, remove_folder
from common.staging.names import copy_name, folder_name, plain_name
from common.staging.room import evict, make_room
from common.staging.shelf import Shelf, check_workload
from common.staging.splits import Sides, check_ratio
from common.threads import to_the_end

_P = ParamSpec("_P")
_T = TypeVar("_T")
Report = Callable[[StageProgress], None]
Build = Callable[[], Awaitable[None]]

_BLOCK = 4096
"""Bytes that a file takes on disk beyond its content, at most, as a rule."""

_POLL = 0.05
"""Seconds between two looks at a folder that somebody else is building."""


class LocalStaging:
    """Makes folders below `cache`, which may hold `limit_bytes` (content and a block for each file)."""

    def __init__(self, files: Files, cache: Path, *, limit_bytes: int, clock: Clock | None = None) -> None:
        self._files = files
        self._shelf = Shelf(cache)
        self._limit = limit_bytes
        self._clock = clock or SystemClock()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="staging")
        self._going: dict[str, StageProgress] = {}
        self._swept = False

    async def stage(
        self, request: StageRequest, progress: Report | None = None, *, workload: str | None = None
    ) -> Path:
        """The folder; with `workload` it is held for it from the first moment.

        Raises Invalid (`bad_ratio`, `bad_request`), StorageFull (`storage_full`), Problem (`staging_failed`), and
        Unavailable where the store is away.
        """
        _check(request, workload)
        name = folder_name(request)
        folder = await self._there(name, lambda: self._build(name, request, progress), progress, workload)
        _told(progress, _bytes(request))
        return folder

    async def copy(
        self, listing: Listing, read: Read, progress: Report | None = None, *, workload: str | None = None
    ) -> Path:
        """The folder of what lies elsewhere. Raises as `stage`, and what `read` raises."""
        name = copy_name(listing)

        async def build() -> None:
            need = listing.bytes + _BLOCK * len(listing.files)
            fetch = partial(copy, self._threads, listing=listing, read=read)
            meter = self._meter(name, listing.bytes, progress)
            await self._write(name, need, lambda writer: fetch(writer, done=meter))

        folder = await self._there(name, build, progress, workload)
        _told(progress, listing.bytes)
        return folder

    async def _there(self, name: str, build: Build, progress: Report | None, workload: str | None) -> Path:
        """The folder of that name, built unless it is there, and held."""
        if workload is not None:
            check_workload(workload)
        await self._sweep_once()
        async with self._locked(name, progress):
            await self._ensure(name, build)
            if workload is not None:
                await self._run(self._shelf.hold, name, workload)
        return self._shelf.path(name)

    async def hold(self, path: Path, workload: str) -> None:
        """Keep a staged folder until the workload releases it. Raises NotFound (`not_staged`): stage it again."""
        if path.parent != self._shelf.cache or path.name.startswith("."):
            raise NotFound("not_staged", f"{path} is not a folder of this cache.")
        async with self._locked(path.name, None):
            await self._run(self._shelf.hold, path.name, workload)

    async def release(self, workload: str) -> None:
        """Let go of all that a workload holds; one that holds nothing is no error."""
        await self._run(self._shelf.release, workload)

    async def evict(self, keep_bytes: int) -> int:
        """Drop what nothing holds, longest unused first, until at most `keep_bytes` remain; gives the bytes freed."""
        return await self._run(evict, self._shelf, keep_bytes)

    async def close(self) -> None:
        """Wait for what the threads are at and end them."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _sweep_once(self) -> None:
        if not self._swept:
            self._swept = True
            await self._run(self._shelf.sweep)

    @asynccontextmanager
    async def _locked(self, name: str, progress: Report | None) -> AsyncIterator[None]:
        """Nobody else builds, marks or drops that folder meanwhile. While waiting, the builder's progress is told."""
        while (descriptor := self._shelf.try_lock(name)) is None:
            if progress is not None and (going := self._going.get(plain_name(name))):
                progress(going)
            await self._clock.sleep(_POLL)
        try:
            yield
        finally:
            os.close(descriptor)

    async def _ensure(self, name: str, build: Build) -> None:
        """Build the folder unless it is there. Its lock is held."""
        if not await self._run(self._shelf.is_ready, name):
            try:
                with telling_when_full("the files to be staged"):
                    await build()
            except OSError as error:
                raise _failed(str(error)) from error
            except Problem as problem:
                if problem.code in ("storage_full", "staging_failed") or isinstance(problem, Unavailable):
                    raise  # what is away now is waited for
                raise _failed(problem.detail) from problem
            finally:
                self._going.pop(name, None)
                await self._run(remove_folder, self._shelf.building(name))
        self._shelf.touch(name)

    async def _build(self, name: str, request: StageRequest, progress: Report | None) -> None:
        """Write the files of one manifest, or a folder of links to such."""
        if request.sides:
            await self._build_view(name, request, progress)
            return
        ref = request.manifest
        fetch = partial(fill, self._files, self._threads, ref=ref)
        meter = self._meter(name, ref.bytes, progress)
        await self._write(name, _footprint(ref), lambda writer: fetch(writer, done=meter))

    async def _write(self, name: str, need: int, fetch: Callable[[FolderWriter], Awaitable[None]]) -> None:
        """A folder with what is fetched into it, for which `need` bytes are made free."""
        await self._run(make_room, self._shelf, need, self._limit)
        writer = await self._new_folder(name)
        try:
            await fetch(writer)
            await self._run(writer.settle)
        finally:
            writer.close()
        await self._run(self._shelf.publish, name, {name: need})

    async def _build_view(self, name: str, request: StageRequest, progress: Report | None) -> None:
        """Link the files of plain folders into `train/`, `test/` and `val/`."""
        refs = request.manifests
        place = await self._placing(request, refs)
        writer = await self._new_folder(name)
        try:
            for side in request.sides:
                writer.make_folders(f"{side}/")
            before = 0
            for ref, to in zip(refs, place, strict=True):
                await self._link(writer, ref, to, _after(progress, before, _bytes(request)))
                before += ref.bytes
            await self._run(writer.settle)
        finally:
            writer.close()
        data = {folder_name(StageRequest(ref)): _footprint(ref) for ref in refs}
        await self._run(self._shelf.publish, name, data)

    async def _placing(self, request: StageRequest, refs: Sequence[ManifestRef]) -> list[Callable[[str], str]]:
        """For each manifest of a request, where a path of it goes."""
        if request.split is None:
            return [f"{side}/{{}}".format for side in request.sides]
        sides = Sides(request.split)
        async for entries in batches(self._files, request.manifest):
            await self._run(_learn, sides, entries)
        by_side = lambda path: f"test/{path}" if sides.is_test(path) else f"train/{path}"  # noqa: E731
        return [by_side, *["val/{}".format for _ in refs[1:]]]

    async def _link(
        self, writer: FolderWriter, ref: ManifestRef, to: Callable[[str], str], progress: Report | None
    ) -> None:
        plain = StageRequest(ref)
        name = folder_name(plain)
        async with self._locked(name, progress):
            await self._ensure(name, lambda: self._build(name, plain, progress))
            source = os.open(self._shelf.path(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                async for entries in batches(self._files, ref):
                    await self._run(_link_all, writer, source, entries, to)
            finally:
                os.close(source)

    async def _new_folder(self, name: str) -> FolderWriter:
        """An empty folder out of sight; what a killed builder left there goes."""
        await self._run(remove_folder, self._shelf.building(name))
        return FolderWriter(self._shelf.building(name))

    def _meter(self, name: str, total: int, progress: Report | None) -> Callable[[int], None]:
        """Counts bytes and tells of them."""
        self._going[name] = StageProgress(0, total)

        def count(size: int) -> None:
            self._going[name] = StageProgress(self._going[name].done + size, total)
            if progress is not None:
                progress(self._going[name])

        return count

    async def _run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await to_the_end(self._threads, function, *args, **kwargs)


def _check(request: StageRequest, workload: str | None) -> None:
    """Refuse what can't be staged before anything is done."""
    if workload is not None:
        check_workload(workload)
    if request.split is not None:
        check_ratio(request.split.ratio)
        if request.test is not None:
            raise Invalid("bad_request", "There is an independent test set, so there is nothing to split; drop one.")


def _learn(sides: Sides, entries: Sequence[Entry]) -> None:
    for entry in entries:
        sides.learn(entry.path)


def _link_all(writer: FolderWriter, source: int, entries: Sequence[Entry], to: Callable[[str], str]) -> None:
    for entry in entries:
        writer.link(source, entry.path, to(entry.path))


def _after(progress: Report | None, before: int, total: int) -> Report | None:
    """Tells the progress of a part as that of the whole, of which `before` bytes were done earlier."""
    if progress is None:
        return None
    return lambda part: progress(StageProgress(before + part.done, total))


def _told(progress: Report | None, total: int) -> None:
    """All of it is there."""
    if progress is not None:
        progress(StageProgress(total, total))


def _bytes(request: StageRequest) -> int:
    return sum(ref.bytes for ref in request.manifests)


def _footprint(ref: ManifestRef) -> int:
    """Bytes that a plain folder takes on disk, estimated from above."""
    return ref.bytes + _BLOCK * ref.files


def _failed(reason: str) -> Problem:
    return Problem("staging_failed", f"The files could not be staged: {reason}")
