"""Imports: how far they are, how they ended, and stopping them."""

from __future__ import annotations

from fastapi import APIRouter

from common.web.access import Permission, permits
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.schemas import ImportOut

router = APIRouter(prefix="/datasets/{dataset_id}/imports", tags=["imports"])


@router.get("", **permits(Permission.CHANGE))
async def list_imports(dataset_id: str, context: Ctx, who: Caller, page: Paging) -> PageOf[ImportOut]:
    """The imports of a dataset."""
    found, progress = await usecases.list_imports(context, who, dataset_id, page)
    items = [ImportOut.of(item, progress.get(item.id)) for item in found.items]
    return PageOf(items=items, next_cursor=found.next_cursor)


@router.get("/{import_id}", **permits(Permission.CHANGE))
async def get_import(dataset_id: str, import_id: str, context: Ctx, who: Caller) -> ImportOut:
    """One import with its progress, and at its end its report."""
    return ImportOut.of(*await usecases.find_import(context, who, dataset_id, import_id))


@router.post("/{import_id}/cancel", **permits(Permission.CHANGE))
async def cancel_import(dataset_id: str, import_id: str, context: Ctx, who: Caller) -> ImportOut:
    """Stop an import; the dataset stays as it was."""
    return ImportOut.of(await usecases.cancel_import(context, who, dataset_id, import_id))
