"""Where one import is worked at: its scratch folder, its archive, and the files that it stores."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

from common import manifests
from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.kernel.errors import NotFound, Problem
from common.manifests import Packed
from dataset_svc import storage
from dataset_svc.archives import Limits
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.imports import Import
from dataset_svc.domain.versions import Content, Sample
from dataset_svc.formats import ContentLimits
from dataset_svc.importing import ChildLimits, ImportRequest, ImportResult
from dataset_svc.settings import Settings

_PREVIEWED_CLASSES = 8
_PREVIEWED_EACH = 2


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

    async def prepare(self) -> ImportRequest:
        """What the child process is to do. Raises Problem (`archive_gone`), StorageFull (`storage_full`)."""
        settings = self._context.settings
        await self.clear()
        return ImportRequest(
            archive=await self._archive(),
            out=self._folder / "out",
            format=self._dataset.format,
            purpose=self._dataset.purpose,
            limits=_limits(settings),
            content=ContentLimits(min_classes=settings.min_classes),
            child=ChildLimits(memory=settings.import_memory, uid=settings.import_uid),
            pack_bytes=settings.pack_bytes,
        )

    async def _archive(self) -> Path:
        """The archive as a file of this machine."""
        files, key = self._context.files, self._item.archive
        try:
            if (here := files.local_path(key)) is not None:
                return here
            path = self._folder / "archive"
            with telling_when_full(f"a copy of {self._item.name}"):
                self._folder.mkdir(parents=True)
                with path.open("wb") as file:
                    async for chunk in files.get(key):
                        await asyncio.to_thread(file.write, chunk)
            return path
        except NotFound as gone:
            raise ArchiveGone("archive_gone", "The uploaded archive is gone. Upload it again.") from gone

    async def store(self, result: ImportResult) -> Content:
        """The files of an import that went well, in the file store. The same content is stored once a dataset."""
        assert result.packed is not None
        manifest = await self._known(result.packed.digest) or await self._put(result.packed)
        summary = dict(result.report.summary)
        classes = {str(name): int(files) for name, files in summary.pop("classes", {}).items()}
        return Content(self._item.id, manifest, classes, summary, await self._preview(manifest, list(classes)))

    async def _known(self, digest: str) -> ManifestRef | None:
        """The files, if the dataset has the same ones already."""
        async with self._context.store.reading() as connection:
            contents = await storage.contents_of(connection, self._dataset)
        return next((content.manifest for content in contents if content.digest == digest), None)

    async def _put(self, packed: Packed) -> ManifestRef:
        await asyncio.to_thread(_take_over, packed)
        return await manifests.store(self._context.files, packed, prefix_of(self._item))

    async def _preview(self, manifest: ManifestRef, classes: list[str]) -> tuple[Sample, ...]:
        """The first files of the first classes."""
        found: list[Sample] = []
        for label in classes[:_PREVIEWED_CLASSES]:
            taken = 0
            async for entry in manifests.entries_from(self._context.files, manifest, f"{label}/"):
                if taken == _PREVIEWED_EACH or not entry.path.startswith(f"{label}/"):
                    break
                found.append(Sample(entry.path, label, entry.size, entry.sha256))
                taken += 1
        return tuple(found)

    async def clear(self) -> None:
        """Throw everything here away."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)


def _limits(settings: Settings) -> Limits:
    return Limits(
        entries=settings.entries,
        bytes=settings.unpacked_bytes,
        file_bytes=settings.file_bytes,
        seconds=settings.import_seconds,
    )


def _take_over(packed: Packed) -> None:
    """What the child wrote as a user of its own becomes the platform's, so that nobody else can change it."""
    uid, gid = os.geteuid(), os.getegid()
    for path in (*packed.objects, packed.body):
        if path.exists() and path.stat().st_uid != uid:
            os.chown(path, uid, gid, follow_symlinks=False)
