"""Staging into a cache folder of this machine.

Folders are named by content (and by how it is split), so all that ask for the same share one. A folder is built out
of sight and appears at once; who comes while it is built, in this process or another, waits for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from common.contracts.shared import ManifestRef
from common.disk import free_bytes, storage_full, telling_when_full
from common.kernel.clock import Clock, SystemClock
from common.kernel.errors import Invalid, NotFound, Problem, Unavailable
from common.manifests import Entry, batches
from common.ports.files import Files
from common.ports.staging import StageProgress, StageRequest
from common.staging import eviction
from common.staging.filling import fill
from common.staging.folder import FolderWriter, remove_folder
from common.staging.names import folder_name, plain_name
from common.staging.shelf import Shelf, check_workload
from common.staging.splits import Sides, check_ratio
from common.threads import to_the_end

_P = ParamSpec("_P")
_T = TypeVar("_T")
Report = Callable[[StageProgress], None]

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
        await self._sweep_once()
        name = folder_name(request)
        async with self._locked(name, progress):
            await self._ensure(name, request, progress)
            if workload is not None:
                await self._run(self._shelf.hold, name, workload)
        if progress is not None:
            progress(StageProgress(_bytes(request), _bytes(request)))
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
        return await self._run(self._evict, keep_bytes)

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

    async def _ensure(self, name: str, request: StageRequest, progress: Report | None) -> None:
        """Build the folder unless it is there. Its lock is held."""
        if not await self._run(self._shelf.is_ready, name):
            build = self._build_view if request.sides else self._build_plain
            try:
                with telling_when_full("the files to be staged"):
                    await build(name, request, progress)
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

    async def _build_plain(self, name: str, request: StageRequest, progress: Report | None) -> None:
        """Write the files of one manifest."""
        ref = request.manifest
        await self._make_room(ref)
        writer = await self._new_folder(name)
        try:
            await fill(self._files, self._threads, writer, ref, self._meter(name, ref.bytes, progress))
            await self._run(writer.settle)
        finally:
            writer.close()
        await self._run(self._shelf.publish, name, {name: _footprint(ref)})

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
            await self._ensure(name, plain, progress)
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

    async def _make_room(self, ref: ManifestRef) -> None:
        """Drop what is unused where that is needed. Raises StorageFull (`storage_full`) before anything is written."""
        need = _footprint(ref)
        remaining = eviction.total(await self._run(self._shelf.notes))
        short = max(remaining + need - self._limit, need - free_bytes(self._shelf.cache), 0)
        if short:
            remaining -= await self._run(self._evict, remaining - short)
        if remaining + need > self._limit:
            raise storage_full(
                f"{need} bytes in the staging cache", f"it may hold {self._limit}, of which {remaining} are in use"
            )
        if (free := free_bytes(self._shelf.cache)) < need:
            raise storage_full(f"{need} bytes in the staging cache", f"its disk has {free} left")

    def _evict(self, keep_bytes: int) -> int:
        before = self._shelf.notes()
        for group in eviction.plan(before, self._shelf.held(), keep_bytes):
            self._drop_group(group)
        return eviction.total(before) - eviction.total(self._shelf.notes())

    def _drop_group(self, group: eviction.Group) -> None:
        """Drop folders that share bytes, links first. One that is being used at this moment saves the rest."""
        for name in group.names:
            with self._shelf.trying(name) as locked:
                others = any(group.data in n.data for n in self._shelf.notes() if n.name != name)
                if not locked or name in self._shelf.held() or (name == group.data and others):
                    return
                self._shelf.drop(name)

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


def _bytes(request: StageRequest) -> int:
    return sum(ref.bytes for ref in request.manifests)


def _footprint(ref: ManifestRef) -> int:
    """Bytes that a plain folder takes on disk, estimated from above."""
    return ref.bytes + _BLOCK * ref.files


def _failed(reason: str) -> Problem:
    return Problem("staging_failed", f"The files could not be staged: {reason}")
