"""How imports begin and end, each in one transaction that only the holder of the lease can make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from common.contracts.dataset import DatasetChanged, DatasetImported, DatasetImportFailed
from common.db.leases import Lease
from common.db.uow import UnitOfWork
from common.kernel.ids import new_id
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.history import Deed, about_import
from dataset_svc.domain.imports import Import
from dataset_svc.domain.versions import Content
from dataset_svc.history import note
from dataset_svc.storage import DATASETS, IMPORTS


class Outcomes:
    """Applies what came of imports. Each verb does nothing where the import was cancelled meanwhile."""

    def __init__(self, context: Context, lease: Lease) -> None:
        self._context = context
        self._lease = lease

    async def begin(self, import_id: str) -> tuple[Import, Dataset] | None:
        """The import, now running, with its dataset; None where it is no longer wanted."""
        async with self._guarded(import_id) as (uow, item, dataset):
            if not item.active:
                return None
            now = uow.clock.now()
            return await IMPORTS.save(uow.connection, item.begun(now), now=now), dataset

    async def succeed(self, import_id: str, content: Content, report: dict[str, Any], sha256: str | None) -> None:
        """The content becomes the dataset's; the version and its events are one commit. `sha256`: the
        archive's, where it was computed."""
        async with self._guarded(import_id) as (uow, item, dataset):
            if not item.active:
                return
            item = item.held_against(sha256) if sha256 is not None else item
            now = uow.clock.now()
            after = dataset.taking(item.part, content, new_id("dv"), now)
            number = after.current.number if after.current and not after.missing_parts() else None
            unchanged = number is not None and after.current == dataset.current
            await IMPORTS.save(uow.connection, item.succeeded(now, report, number, unchanged=unchanged), now=now)
            _note_import(uow, item, content, number, unchanged)
            await self._superseded(uow, dataset, item, content)
            if after != dataset:
                await self._save(uow, dataset, await DATASETS.save(uow.connection, after, now=now))

    async def _save(self, uow: UnitOfWork, before: Dataset, after: Dataset) -> None:
        """Store a new version and tell of it."""
        version = after.current
        if version is None or version == before.current:
            return
        await storage.add_version(uow.connection, version)
        told = DatasetImported(dataset=after.snapshot(), version=version.fact())
        uow.emit(told, subject=after.id, owner=after.owner)
        if after.online:
            uow.emit(DatasetChanged(**after.facts()), subject=after.id, owner=after.owner)

    async def _superseded(self, uow: UnitOfWork, dataset: Dataset, item: Import, content: Content) -> None:
        """A part that waited in vain for the other one may have files that nobody refers to any more."""
        earlier = dataset.parts.get(item.part)
        if earlier is not None and earlier.digest != content.digest:
            await storage.mark_files(uow.connection, storage.imports, earlier.import_id, storage.KEPT)

    async def fail(self, import_id: str, code: str, reason: str, report: dict[str, Any] | None) -> None:
        """The dataset stays as it was; the report says why."""
        async with self._guarded(import_id) as (uow, item, dataset):
            if not item.active:
                return
            now = uow.clock.now()
            await IMPORTS.save(uow.connection, item.failed(now, code, reason, report), now=now)
            note(uow, dataset.id, Deed.IMPORT_FAILED, {**about_import(item), "code": code, "reason": reason})
            told = DatasetImportFailed(dataset_id=dataset.id, import_id=item.id, code=code, reason=reason)
            uow.emit(told, subject=dataset.id, owner=dataset.owner)

    @asynccontextmanager
    async def _guarded(self, import_id: str) -> AsyncIterator[tuple[UnitOfWork, Import, Dataset]]:
        """A transaction under the lease. Raises LeaseLost."""
        async with self._context.store.work() as uow:
            await self._context.kit.leases.guard(uow.connection, self._lease)
            dataset = await storage.its_dataset(uow.connection, storage.imports, import_id)
            item = await IMPORTS.get(uow.connection, import_id)
            assert dataset is not None, "of a deleted one a tombstone is left"
            uow.actor = item.requested_by
            yield uow, item, dataset


def _note_import(uow: UnitOfWork, item: Import, content: Content, number: int | None, unchanged: bool) -> None:
    """For the dataset's history. `version` is None where the other part is still missing."""
    about: dict[str, object] = {
        **about_import(item),
        "version": number,
        "unchanged": unchanged,
        "digest": content.digest,
    }
    size = {"files": content.manifest.files, "bytes": content.manifest.bytes}
    note(uow, item.dataset_id, Deed.IMPORTED, about | size)
