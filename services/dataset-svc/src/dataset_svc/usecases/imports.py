"""Stopping imports."""

from __future__ import annotations

from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.history import Deed, about_import
from dataset_svc.domain.imports import Import
from dataset_svc.history import note
from dataset_svc.storage import IMPORTS
from dataset_svc.usecases.access import to_change


async def cancel_import(context: Context, who: Principal, dataset_id: str, import_id: str) -> Import:
    """Give an import up; the dataset stays as it was. Raises Conflict (`illegal_state`) once it has ended."""
    async with context.store.work(actor=who.id) as uow:
        await to_change(uow.connection, who, dataset_id)
        item = await storage.import_of(uow.connection, dataset_id, import_id)
        now = uow.clock.now()
        note(uow, dataset_id, Deed.IMPORT_CANCELLED, about_import(item))
        uow.after_commit(context.ring)
        return await IMPORTS.save(uow.connection, item.cancelled(now), now=now)
