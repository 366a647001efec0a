"""Folders that a workload reads while they are filled: for formats whose files are read one after the other.

Such a folder is seen from the beginning. `shards.txt` in it lists what will come, in the order in which it comes, and
each file appears whole and checked, by a rename, or is not there yet. What it shows is linked from the plain folder of
the same content, which is built beside it: a later workload needs no transfer, whether it streams or not.

Nothing here needs to end well: after a kill whoever calls `carry_on` fills on from the files that are there.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, closing, suppress
from pathlib import Path

from common.kernel.errors import NotFound, Unavailable
from common.kernel.ids import new_id
from common.manifests import Entry, batches
from common.ports.staging import StageRequest
from common.staging.building import POLL_SECONDS, Builder, Report, all_to, footprint
from common.staging.folder import FolderWriter, write_whole
from common.staging.names import folder_name
from common.staging.shelf import ARRIVING, check_workload

SHARDS = "shards.txt"
"""Lists the shards, a path from the folder on in each line."""

_SHARD = ".tar"
_AT_ONCE = 2
"""Pieces on their way: the first shards are wanted first."""


class Streams:
    """The folders of one process that come by and by."""

    def __init__(self, builder: Builder) -> None:
        self._builder, self._shelf = builder, builder.shelf
        self._feeds: dict[str, asyncio.Task[None]] = {}
        self._whole: set[str] = set()

    async def open(self, request: StageRequest, progress: Report | None, workload: str | None) -> Path:
        """The folder, once its first shard is there. Raises as `LocalStaging.stage`."""
        if workload is not None:
            check_workload(workload)
        await self._builder.sweep_once()
        name = folder_name(request)
        async with self._builder.locked(name, progress):
            if not await self._builder.run(self._shelf.is_begun, name):
                self._whole.discard(name)
                await self._builder.ensure(name, lambda: self._begin(name, request, progress))
            if workload is not None:
                await self._builder.run(self._shelf.hold, name, workload)
        if not await self._builder.run(self._shelf.is_ready, name):
            await self._first(name, self._feed(name, request))
        return self._shelf.path(name)

    async def carry_on(self, request: StageRequest) -> bool:
        """See the port."""
        name = folder_name(request)
        feed = self._feeds.get(name)
        if name in self._whole or (feed is not None and not feed.done()):
            return name in self._whole
        if feed is not None and (failure := _failure(feed)) is not None:
            raise failure
        await self._builder.sweep_once()
        if await self._builder.run(self._shelf.is_ready, name):
            self._whole.add(name)
        elif await self._builder.run(self._shelf.is_begun, name):
            self._feed(name, request)
        else:
            raise NotFound("not_staged", f"{self._shelf.path(name)} is gone, so it can't be filled on.")
        return name in self._whole

    async def tidy(self) -> None:
        """End the filling of what no workload reads any more; what came of it goes."""
        if not self._feeds:
            return
        held = await self._builder.run(self._shelf.held)
        for name in [name for name in self._feeds if name not in held]:
            await _ended(self._feeds.pop(name))
            await self._builder.run(self._shelf.drop_begun, name)

    async def close(self) -> None:
        """Stop filling; whoever comes next carries on."""
        feeds, self._feeds = list(self._feeds.values()), {}
        for feed in feeds:
            await _ended(feed)

    async def _begin(self, name: str, request: StageRequest, progress: Report | None) -> None:
        """The folder with its list, and with whatever else than the shards belongs there."""
        shards, builder = [], self._builder
        async for entries in batches(builder.files, request.manifest):
            shards += [f"{_prefix(request)}{entry.path}\n" for entry in entries if entry.path.endswith(_SHARD)]
        writer = await builder.new_folder(name)
        async with AsyncExitStack() as kept:
            kept.callback(writer.close)
            for side in request.sides:
                writer.make_folders(f"{side}/")
            for side, ref in zip(request.sides[1:], request.manifests[1:], strict=True):
                await kept.enter_async_context(builder.plain(ref, progress))
                await builder.link(writer, ref, all_to(side))
            descriptor = writer.create(SHARDS)
            kept.callback(os.close, descriptor)
            write_whole(descriptor, "".join(shards).encode())
        await builder.run(self._shelf.publish, name, {}, begun=True)

    def _feed(self, name: str, request: StageRequest) -> asyncio.Task[None]:
        """The task that fills the folder."""
        feed = self._feeds.get(name)
        if feed is None or feed.done():
            feed = self._feeds[name] = asyncio.create_task(self._fill(name, request), name=f"filling {name[:16]}")
            feed.add_done_callback(lambda task: task.cancelled() or task.exception())  # told by carry_on
        return feed

    async def _first(self, name: str, feed: asyncio.Task[None]) -> None:
        """Wait for the first shard, whichever process fetches it."""
        folder = self._shelf.path(name)
        listed = (folder / SHARDS).read_text().splitlines()
        while not feed.done():
            if listed and (folder / listed[0]).exists():
                return
            await asyncio.wait([feed], timeout=POLL_SECONDS)
        await feed

    async def _fill(self, name: str, request: StageRequest) -> None:
        """Build the plain folder, showing each file of it as it comes; then the folder is as good as any."""
        plain = StageRequest(request.manifest)
        hidden, builder = folder_name(plain), self._builder
        async with builder.locked(hidden, None):
            view = _View(builder, self._shelf.path(name), self._shelf.building(hidden), _prefix(request))
            await builder.ensure(hidden, lambda: builder.build(hidden, plain, None, watch=view, at_once=_AT_ONCE))
            view.source = self._shelf.path(hidden)
            async for entries in batches(builder.files, request.manifest):
                for entry in entries:
                    await view.arrived(entry)
            data = {folder_name(StageRequest(ref)): footprint(ref) for ref in request.manifests}
            async with builder.locked(name, None):
                await builder.run(self._shelf.complete, name, data)


class _View:
    """What a folder shows of one that is being built (see `filling.Watch`)."""

    def __init__(self, builder: Builder, folder: Path, source: Path, prefix: str) -> None:
        self._builder, self._folder, self._prefix = builder, folder, prefix
        self.source = source

    async def take(self, writer: FolderWriter, entry: Entry) -> bool:
        """Whether it was shown before the platform was killed: then it need not come again."""
        return await self._builder.run(self._taken, writer, entry)

    def _taken(self, writer: FolderWriter, entry: Entry) -> bool:
        if not (self._folder / self._prefix / entry.path).is_file():
            return False
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            writer.link(folder, self._prefix + entry.path, entry.path)
        finally:
            os.close(folder)
        return True

    async def arrived(self, entry: Entry) -> None:
        """Show a file that is there whole."""
        await self._builder.run(self._show, entry)

    def _show(self, entry: Entry) -> None:
        shown = self._folder / self._prefix / entry.path
        if shown.is_file():
            return
        shown.parent.mkdir(parents=True, exist_ok=True)
        arriving = f"{ARRIVING}{new_id('file')}"  # it may have to be copied, which takes a while
        folder = os.open(self.source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with closing(FolderWriter(self._folder, new=False)) as writer:
                writer.link(folder, entry.path, arriving)
        finally:
            os.close(folder)
        (self._folder / arriving).rename(shown)


def _prefix(request: StageRequest) -> str:
    return f"{request.sides[0]}/" if request.sides else ""


def _failure(feed: asyncio.Task[None]) -> BaseException | None:
    """Why it ended, unless that passes: a store that is away now is asked again."""
    failure = None if feed.cancelled() else feed.exception()
    return None if isinstance(failure, Unavailable) else failure


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
