"""What happened to a dataset: who did what, and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from common.web.access import Permission, permits
from common.web.identity import Caller
from common.web.paging import PageOf
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.schemas.history import EntryOut

router = APIRouter(prefix="/datasets/{dataset_id}/history", tags=["datasets"])


@router.get("", **permits(Permission.CHANGE))
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
