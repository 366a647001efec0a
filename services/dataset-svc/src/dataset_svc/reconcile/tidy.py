"""Tidying up: abandoned uploads, what imports left behind, and the files of deleted datasets that nobody holds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from common.db.holds import holders
from common.db.leases import Lease
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.imports import Import
from dataset_svc.domain.tus import tails_of
from dataset_svc.domain.uploads import Upload
from dataset_svc.reconcile.workplace import prefix_of
from dataset_svc.storage import DATASETS, GOING, GONE, KEPT, UPLOADS
from dataset_svc.usecases.arriving import forget

log = structlog.get_logger("tidy")


@dataclass
class Tidy:
    """One round of tidying; each step may be killed and is done again. `at_work`: imports that are in hands.

    `wanted` is set by whoever leaves something to tidy, so that an idle service reads nothing.
    """

    context: Context
    at_work: Callable[[], Collection[str]]
    wanted: bool = True
    _next: float = field(default=0.0, init=False)

    async def round(self, lease: Lease | None) -> None:
        """Tidy up where that is wanted, and every `tidy_seconds` in any case: holds are released, uploads get old."""
        now = self.context.store.clock.monotonic()
        if not self.wanted and now < self._next:
            return
        self.wanted = False
        self._next = now + self.context.settings.tidy_seconds
        await self.expire_uploads()
        await self._uploads()
        await self._imports()
        await self._deleted()

    async def expire_uploads(self) -> int:
        """Give up uploads for which nothing has come for too long; gives how many."""
        now = self.context.store.clock.now()
        before = now - timedelta(seconds=self.context.settings.upload_ttl)
        async with self.context.store.reading() as connection:
            if not await storage.idle_uploads(connection, before):
                return 0
        async with self.context.store.work() as uow:
            old = await storage.idle_uploads(uow.connection, before)
            for upload in old:
                await UPLOADS.save(uow.connection, upload.aborted(), now=now)
        return len(old)

    async def _uploads(self) -> None:
        """Remove the parts, and the archive if it came so far, of aborted uploads."""
        async with self.context.store.reading() as connection:
            aborted = await storage.aborted_uploads_with_files(connection)
        for upload in aborted:
            await self._upload(upload)

    async def _upload(self, upload: Upload) -> None:
        """Whoever makes its archive at this moment notes it as kept again: then it is looked at once more."""
        async with self.context.store.work() as uow:
            await storage.mark_files(uow.connection, storage.uploads, upload.id, GOING)
        await forget(self.context, upload)
        await self.context.files.delete(upload.archive)
        await self._delete_all(tails_of(upload.archive))
        async with self.context.store.work() as uow:
            await storage.mark_files(uow.connection, storage.uploads, upload.id, GONE, before=GOING)

    async def _imports(self) -> None:
        """Remove the archives of ended imports, and the files of those that became no version."""
        async with self.context.store.reading() as connection:
            ended = await storage.ended_imports_with_files(connection)
        for item in ended:
            if item.id not in self.at_work():
                await self._import(item)

    async def _import(self, item: Import) -> None:
        async with self.context.store.reading() as connection:
            dataset = await DATASETS.get(connection, item.dataset_id)
            held = {content.manifest.address for content in await storage.contents_of(connection, dataset)}
            upload = await UPLOADS.get(connection, item.upload_id) if item.upload_id else None
        if upload is not None:
            await forget(self.context, upload)
        await self.context.files.delete(item.archive)
        await self._delete_all(tails_of(item.archive))
        if f"{prefix_of(item)}/index" not in held:
            await self._delete_all(f"{prefix_of(item)}/")
        async with self.context.store.work() as uow:
            await storage.mark_files(uow.connection, storage.imports, item.id, GONE)

    async def _deleted(self) -> None:
        """Remove the files of deleted datasets once nobody holds them."""
        async with self.context.store.reading() as connection:
            deleted = await storage.deleted_with_files(connection)
            ended = {item.dataset_id for item in await storage.ended_imports_with_files(connection)}
        for dataset in deleted:
            if dataset.id not in ended and await self._may_go(dataset):
                await self._delete_all(f"datasets/{dataset.id}/")
                async with self.context.store.work() as uow:
                    await storage.mark_files(uow.connection, storage.datasets, dataset.id, GONE)
                log.info("files of a deleted dataset removed", dataset_id=dataset.id)

    async def _may_go(self, dataset: Dataset) -> bool:
        """Whether nobody holds the files; from then on nobody can."""
        async with self.context.store.work() as uow:
            await DATASETS.get(uow.connection, dataset.id)
            if await storage.files_state(uow.connection, dataset.id) == KEPT:
                if await holders(uow.connection, dataset.id):
                    return False
                await storage.mark_files(uow.connection, storage.datasets, dataset.id, GOING)
        return True

    async def _delete_all(self, prefix: str) -> None:
        """Remove every object under a prefix, the indexes first: a list never lies."""
        keys = [info.key async for info in self.context.files.list(prefix)]
        for key in sorted(keys, key=lambda key: not key.endswith("/index")):
            await self.context.files.delete(key)
