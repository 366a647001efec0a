"""Where one import is worked at: its scratch folder, its archive, and the files that it stores."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from common.disk import telling_when_full
from common.kernel.errors import NotFound, Problem
from dataset_svc import storage
from dataset_svc.archives import Limits
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.imports import Import
from dataset_svc.domain.versions import Content
from dataset_svc.formats import ContentLimits
from dataset_svc.importing import ChildLimits, ImportRequest, ImportResult, Progress
from dataset_svc.reconcile.fetching import Tell, bring, fetch
from dataset_svc.reconcile.keeping import keep
from dataset_svc.settings import Settings


class ArchiveGone(Problem):
    """The archive that was to be imported is not stored any more."""


def prefix_of(item: Import) -> str:
    """Under which keys an import stores its files."""
    return f"datasets/{item.dataset_id}/{item.id}"


def scratch_of(context: Context, item: Import, epoch: int) -> Path:
    """The folder in which an import is worked at, by whoever holds that epoch of the lease and nobody else."""
    return context.scratch / f"{item.id}.{epoch}"


def left_behind(context: Context, epoch: int) -> list[Path]:
    """The folders of earlier epochs: of whoever was killed, or has lost the lease and only not noticed yet."""
    if not context.scratch.exists():
        return []
    return [path for path in context.scratch.iterdir() if _epoch(path) < epoch]


def _epoch(folder: Path) -> int:
    number = folder.suffix.removeprefix(".")
    return int(number) if number.isdigit() else 0


class Workplace:
    """One import's place. Everything in it can be thrown away and made again."""

    def __init__(self, context: Context, item: Import, dataset: Dataset, epoch: int) -> None:
        self._context, self._item, self._dataset = context, item, dataset
        self._folder = scratch_of(context, item, epoch)
        self.sha256: str | None = None
        """Of the archive in hex, once it was computed."""

    @property
    def passes(self) -> int:
        """How often its bytes are gone over: fetched from a source, copied from the file store, and read."""
        return 1 + (self._item.source_id is not None) + (not self._context.files.capabilities.local_paths)

    async def prepare(self, tell: Callable[[int, Progress], None]) -> ImportRequest:
        """What the child process is to do. What lies elsewhere is fetched first, and `tell` told how far which of the
        passes is.

        Raises Problem (`archive_gone`), StorageFull (`storage_full`), and as `fetch`.
        """
        settings = self._context.settings
        await self.clear()
        if self._item.source_id is not None:
            await fetch(self._context, self._item, self._folder, partial(tell, 0))
        return ImportRequest(
            archive=await self._archive(partial(tell, self.passes - 2)),
            out=self._folder / "out",
            format=self._dataset.format,
            purpose=self._dataset.held_as,
            limits=_limits(settings),
            content=ContentLimits(min_classes=settings.min_classes, whole_bytes=settings.whole_bytes),
            child=ChildLimits(memory=settings.import_memory, uid=settings.import_uid),
            pack_bytes=settings.pack_bytes,
        )

    async def _archive(self, tell: Tell) -> Path:
        """The archive as a file of this machine. Raises Invalid (`checksum_mismatch`)."""
        files, key = self._context.files, self._item.archive
        try:
            if (here := files.local_path(key)) is not None:
                return here
            path = self._folder / "archive"
            with telling_when_full(f"a copy of {self._item.name}"):
                self._folder.mkdir(parents=True, exist_ok=True)
            self.sha256 = await bring(self._context, self._item, path, tell)
        except NotFound as gone:
            raise ArchiveGone("archive_gone", "The uploaded archive is gone. Upload it again.") from gone
        if self.sha256 is not None:
            self._item.held_against(self.sha256)
        return path

    async def store(self, result: ImportResult) -> Content:
        """The files of an import that went well, in the file store. The same content is stored once a dataset."""
        async with self._context.store.reading() as connection:
            earlier = await storage.contents_of(connection, self._dataset)
        current = self._dataset.current
        return await keep(
            self._context.files,
            result,
            earlier,
            self._item.id,
            prefix_of(self._item),
            current=current.part(self._item.part) if current is not None else None,
            pack_bytes=self._context.settings.pack_bytes,
        )

    async def clear(self) -> None:
        """Throw everything here away."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _limits(settings: Settings) -> Limits:
    return Limits(
        entries=settings.entries,
        bytes=settings.unpacked_bytes,
        file_bytes=settings.file_bytes,
        depth=settings.depth,
        member_ratio=3 * settings.ratio,
        total_ratio=settings.ratio,
        seconds=settings.import_seconds,
    )
