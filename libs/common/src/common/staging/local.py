"""Staging into a cache folder of this machine.

Folders are named by content (and by how it is split), so all that ask for the same share one. A folder is built out
of sight and appears at once; who comes while it is built, in this process or another, waits for it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from common.kernel.clock import Clock, SystemClock
from common.kernel.errors import Invalid, NotFound
from common.ports.files import Files
from common.ports.staging import Listing, Read, StageProgress, StageRequest
from common.staging.building import BLOCK, Build, Builder, Report
from common.staging.filling import copy
from common.staging.names import copy_name, folder_name
from common.staging.places import check_ratio
from common.staging.room import evict
from common.staging.shelf import Shelf, check_workload
from common.staging.streaming import Streams


class LocalStaging:
    """Makes folders below `cache`, which may hold `limit_bytes` (content and a block for each file)."""

    def __init__(self, files: Files, cache: Path, *, limit_bytes: int, clock: Clock | None = None) -> None:
        self._shelf = Shelf(cache)
        self._builder = Builder(files, self._shelf, limit_bytes, clock or SystemClock())
        self._streams = Streams(self._builder)

    async def stage(
        self, request: StageRequest, progress: Report | None = None, *, workload: str | None = None
    ) -> Path:
        """The folder; with `workload` it is held for it from the first moment.

        Raises Invalid (`bad_ratio`, `bad_request`), StorageFull (`storage_full`), Problem (`staging_failed`), and
        Unavailable where the store is away.
        """
        _check(request)
        if request.stream:
            return await self._streams.open(request, progress, workload)
        name = folder_name(request)
        folder = await self._there(name, lambda: self._builder.build(name, request, progress), progress, workload)
        _told(progress, request.bytes)
        return folder

    async def carry_on(self, request: StageRequest) -> bool:
        """See the port."""
        return await self._streams.carry_on(request)

    async def copy(
        self, listing: Listing, read: Read, progress: Report | None = None, *, workload: str | None = None
    ) -> Path:
        """The folder of what lies elsewhere. Raises as `stage`, and what `read` raises."""
        name, builder = copy_name(listing), self._builder

        async def build() -> None:
            need = listing.bytes + BLOCK * len(listing.files)
            fetch = partial(copy, builder.threads, listing=listing, read=read)
            meter = builder.meter(name, listing.bytes, progress)
            await builder.write(name, need, lambda writer: fetch(writer, done=meter))

        folder = await self._there(name, build, progress, workload)
        _told(progress, listing.bytes)
        return folder

    async def _there(self, name: str, build: Build, progress: Report | None, workload: str | None) -> Path:
        """The folder of that name, built unless it is there, and held."""
        if workload is not None:
            check_workload(workload)
        await self._builder.sweep_once()
        async with self._builder.present(name, build, progress):
            if workload is not None:
                await self._builder.run(self._shelf.hold, name, workload)
        return self._shelf.path(name)

    async def hold(self, path: Path, workload: str) -> None:
        """Keep a staged folder until the workload releases it. Raises NotFound (`not_staged`): stage it again."""
        if path.parent != self._shelf.cache or path.name.startswith("."):
            raise NotFound("not_staged", f"{path} is not a folder of this cache.")
        async with self._builder.locked(path.name, None, shared=True):
            await self._builder.run(self._shelf.hold, path.name, workload)

    async def release(self, workload: str) -> None:
        """Let go of all that a workload holds; one that holds nothing is no error."""
        await self._builder.run(self._shelf.release, workload)
        await self._streams.tidy()

    async def evict(self, keep_bytes: int) -> int:
        """Drop what nothing holds, longest unused first, until at most `keep_bytes` remain; gives the bytes freed."""
        return await self._builder.run(evict, self._shelf, keep_bytes)

    async def close(self) -> None:
        """End what comes by and by, wait for what the threads are at and end them."""
        await self._streams.close()
        await asyncio.to_thread(self._builder.threads.shutdown)


def _check(request: StageRequest) -> None:
    """Refuse what can't be staged before anything is done."""
    if request.split is None:
        return
    check_ratio(request.split.ratio)
    if request.test is not None:
        raise Invalid("bad_request", "There is an independent test set, so there is nothing to split; drop one.")
    if request.stream:
        raise Invalid("bad_request", "What comes by and by can't be split: a split wants to know every file.")


def _told(progress: Report | None, total: int) -> None:
    """All of it is there."""
    if progress is not None:
        progress(StageProgress(total, total))
