"""What of here uses a thing of another service, for that service: whoever takes a thing away asks who needs it."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from common.db.aggregates import PageRequest
from common.web.access import Permission, permits
from train_svc.context import Ctx
from train_svc.domain.job import ENDED, JobState
from train_svc.storage import jobs, jobs_table, uses_dataset

router = APIRouter(prefix="/uses", tags=["uses"])

_MOST = 200
_USING = tuple(state for state in JobState if state not in (*ENDED, JobState.DRAFT))


class UseOut(BaseModel):
    """One thing that uses it; `kind` is what it is, `state` how it stands."""

    kind: str
    id: str
    name: str
    owner: str
    state: str


class UsesOut(BaseModel):
    """Those that use it, the newest first; `more` says that there are others beyond them."""

    items: list[UseOut]
    more: bool


@router.get("/datasets/{dataset_id}", **permits(Permission.SERVICE))
async def list_uses(dataset_id: str, context: Ctx) -> UsesOut:
    """The jobs that wait for a dataset's files, or train or validate on them."""
    of_it = uses_dataset(dataset_id), jobs_table.c.state.in_(_USING)
    async with context.kit.store.reading() as connection:
        found = await jobs.page(connection, PageRequest(_MOST), *of_it)
    items = [UseOut(kind="job", id=job.id, name=job.name, owner=job.owner, state=job.state) for job in found.items]
    return UsesOut(items=items, more=found.next_cursor is not None)
