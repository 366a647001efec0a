"""What happened to a dataset, and who uses it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from common.web.access import Permission, permits
from common.web.identity import Caller
from common.web.paging import PageOf
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.schemas.history import EntryOut
from dataset_svc.schemas.uses import UsesOut

router = APIRouter(prefix="/datasets/{dataset_id}", tags=["datasets"])


@router.get("/history", **permits(Permission.CHANGE))
async def list_history(
    dataset_id: str,
    context: Ctx,
    who: Caller,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str | None = None,
) -> PageOf[EntryOut]:
    """Everything that was done to a dataset, the newest first; also where it was deleted."""
    entries, more = await usecases.list_history(context, who, dataset_id, cursor, limit)
    return PageOf(items=[EntryOut.of(entry) for entry in entries], next_cursor=more)


@router.get("/uses", **permits(Permission.CHANGE))
async def list_uses(dataset_id: str, context: Ctx, who: Caller) -> UsesOut:
    """Who uses it at present: jobs, formatted sets; whatever the caller may not see is counted only."""
    return UsesOut.of(await usecases.find_uses(context, who, dataset_id))
