"""Building the folders of a cache: out of sight, under a lock that other processes respect too, and there at once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.kernel.clock import Clock
from common.kernel.errors import Problem, Unavailable
from common.manifests import Entry, batches
from common.ports.files import Files
from common.ports.staging import StageProgress, StageRequest
from common.staging.filling import AT_ONCE, Watch, fill
from common.staging.folder import FolderWriter, remove_folder
from common.staging.names import folder_name, plain_name
from common.staging.parting import RowSplit, learned
from common.staging.room import make_room
from common.staging.samples import Rows, rows_in
from common.staging.shelf import Shelf
from common.threads import to_the_end

_P = ParamSpec("_P")
_T = TypeVar("_T")
Report = Callable[[StageProgress], None]
Build = Callable[[], Awaitable[None]]
Targets = Callable[[str], Sequence[str]]
"""Where a file of a list goes in a folder of links, by its path; to several places as a rule never."""

BLOCK = 4096
"""Bytes that a file takes on disk beyond its content, at most, as a rule."""

POLL_SECONDS = 0.05
"""Seconds between two looks at a folder that somebody else is building."""


class Builder:
    """Builds in the cache that `shelf` keeps the books of, which may hold `limit` bytes."""

    def __init__(self, files: Files, shelf: Shelf, limit: int, clock: Clock) -> None:
        self.files, self.shelf = files, shelf
        self._limit, self._clock = limit, clock
        self.threads = ThreadPoolExecutor(4, thread_name_prefix="staging")
        self._going: dict[str, StageProgress] = {}
        self._swept = False

    async def sweep_once(self) -> None:
        """Tidy up what killed processes left, before the first folder is asked for."""
        if not self._swept:
            self._swept = True
            await self.run(self.shelf.sweep)

    @asynccontextmanager
    async def locked(self, name: str, progress: Report | None, *, shared: bool = False) -> AsyncIterator[None]:
        """Nobody else builds or drops that folder meanwhile, nor marks it unless all are content to share. While
        waiting, the builder's progress is told."""
        while (descriptor := self.shelf.try_lock(name, shared=shared)) is None:
            if progress is not None and (going := self._going.get(plain_name(name))):
                progress(going)
            await self._clock.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            os.close(descriptor)

    @asynccontextmanager
    async def present(self, name: str, build: Build, progress: Report | None) -> AsyncIterator[None]:
        """The folder is there with all its files, built unless it was, and nobody drops it meanwhile. Those who find it
        wait for no other who does."""
        while True:
            async with self.locked(name, progress, shared=True):
                if await self.run(self.shelf.is_ready, name):
                    self.shelf.touch(name)
                    yield
                    return
            async with self.locked(name, progress):
                await self.ensure(name, build)

    @asynccontextmanager
    async def plain(self, ref: ManifestRef, progress: Report | None) -> AsyncIterator[None]:
        """The same, of the plain folder of a list."""
        request = StageRequest(ref)
        name = folder_name(request)
        async with self.present(name, lambda: self.build(name, request, progress), progress):
            yield

    async def ensure(self, name: str, build: Build) -> None:
        """Build the folder unless it is there. Its lock is held."""
        if not await self.run(self.shelf.is_ready, name):
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
                await self.run(remove_folder, self.shelf.building(name))
        self.shelf.touch(name)

    async def build(
        self,
        name: str,
        request: StageRequest,
        progress: Report | None,
        *,
        watch: Watch | None = None,
        at_once: int = AT_ONCE,
    ) -> None:
        """Write the files of one manifest, or a folder of links to such. Of the former `watch` hears file by file."""
        if request.sides:
            await self._build_view(name, request, progress)
            return
        ref = request.manifest
        fetch = partial(fill, self.files, self.threads, ref=ref, watch=watch, at_once=at_once)
        meter = self.meter(name, ref.bytes, progress)
        await self.write(name, footprint(ref), lambda writer: fetch(writer, done=meter))

    async def write(self, name: str, need: int, fetch: Callable[[FolderWriter], Awaitable[None]]) -> None:
        """A folder with what is fetched into it, for which `need` bytes are made free."""
        await self.run(make_room, self.shelf, need, self._limit)
        writer = await self.new_folder(name)
        try:
            await fetch(writer)
            await self.run(writer.settle)
        finally:
            writer.close()
        await self.run(self.shelf.publish, name, {name: need})

    async def _build_view(self, name: str, request: StageRequest, progress: Report | None) -> None:
        """Link the files of plain folders into `train/`, `test/` and `val/`."""
        refs = request.manifests
        rows = await self._rows(request)
        place = await self._placing(request, refs, rows)
        writer = await self.new_folder(name)
        own: dict[str, int] = {}
        async with AsyncExitStack() as kept:
            kept.callback(writer.close)
            for side in request.sides:
                writer.make_folders(f"{side}/")
            before = 0
            for ref, to in zip(refs, place, strict=True):
                await kept.enter_async_context(self.plain(ref, _after(progress, before, request.bytes)))
                await self.link(writer, ref, to)
                before += ref.bytes
            if request.split is not None and rows:
                own = {name: request.manifest.bytes}
                await self._part(writer, request.manifest, RowSplit(request.split, rows))
            await self.run(writer.settle)
        data = {folder_name(StageRequest(ref)): footprint(ref) for ref in refs}
        await self.run(self.shelf.publish, name, data | own)

    async def _rows(self, request: StageRequest) -> Mapping[str, Rows]:
        """How the samples lie in the files that are parted sample by sample, by path."""
        if request.split is None or request.split.annotations is None:
            return {}
        return await rows_in(self.files, request.split.annotations)

    async def _placing(
        self, request: StageRequest, refs: Sequence[ManifestRef], rows: Mapping[str, Rows]
    ) -> list[Targets]:
        """For each manifest of a request, where a path of it goes; what is parted by samples goes nowhere whole."""
        if request.split is None:
            return [all_to(side) for side in request.sides]
        sides = await learned(self.files, request.manifest, request.split, rows, self.run)
        by_side = lambda path: [] if path in rows else [f"{side}/{path}" for side in sides.of(path)]  # noqa: E731
        return [by_side, *[all_to("val") for _ in refs[1:]]]

    async def link(self, writer: FolderWriter, ref: ManifestRef, to: Targets) -> None:
        """Link every file of a list to where `to` says, from its plain folder, which is there."""
        with self._opened(ref) as source:
            async for entries in batches(self.files, ref):
                await self.run(_link_all, writer, source, entries, to)

    async def _part(self, writer: FolderWriter, ref: ManifestRef, split: RowSplit) -> None:
        """Write what is parted sample by sample, which takes room of its own."""
        await self.run(make_room, self.shelf, ref.bytes, self._limit)
        with self._opened(ref) as source:
            await self.run(split.write, writer, source)

    @contextmanager
    def _opened(self, ref: ManifestRef) -> Iterator[int]:
        """A descriptor of the plain folder of a list."""
        source = os.open(self.shelf.path(folder_name(StageRequest(ref))), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield source
        finally:
            os.close(source)

    async def new_folder(self, name: str) -> FolderWriter:
        """An empty folder out of sight; what a killed builder left there goes."""
        await self.run(remove_folder, self.shelf.building(name))
        return FolderWriter(self.shelf.building(name))

    def meter(self, name: str, total: int, progress: Report | None) -> Callable[[int], None]:
        """Counts bytes and tells of them."""
        self._going[name] = StageProgress(0, total)

        def count(size: int) -> None:
            self._going[name] = StageProgress(self._going[name].done + size, total)
            if progress is not None:
                progress(self._going[name])

        return count

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What blocks, in a thread."""
        return await to_the_end(self.threads, function, *args, **kwargs)


def all_to(side: str) -> Targets:
    """Every file goes to that side."""
    return lambda path: [f"{side}/{path}"]


def _link_all(writer: FolderWriter, source: int, entries: Sequence[Entry], to: Targets) -> None:
    for entry in entries:
        for place in to(entry.path):
            writer.link(source, entry.path, place)


def _after(progress: Report | None, before: int, total: int) -> Report | None:
    """Tells the progress of a part as that of the whole, of which `before` bytes were done earlier."""
    if progress is None:
        return None
    return lambda part: progress(StageProgress(before + part.done, total))


def footprint(ref: ManifestRef) -> int:
    """Bytes that a plain folder takes on disk, estimated from above."""
    return ref.bytes + BLOCK * ref.files


def _failed(reason: str) -> Problem:
    return Problem("staging_failed", f"The files could not be staged: {reason}")
