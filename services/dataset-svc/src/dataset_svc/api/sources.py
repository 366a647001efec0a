"""External sources: describe, look into, forget; and importing from one."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from common.db.uow import UnitOfWork
from common.sources.connections import without_credentials
from common.web.access import Permission, permits
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from dataset_svc import usecases
from dataset_svc.api import opening
from dataset_svc.context import Ctx
from dataset_svc.domain.sources import Source
from dataset_svc.schemas import CreateSource, Credentials, FoundOut, ImportFromSource, ImportOut, SourceOut

router = APIRouter(tags=["sources"])


class ImportInto(BaseModel):
    """What is to be imported, with its dataset: what an Idempotency-Key stands for."""

    dataset_id: str
    wanted: ImportFromSource


router.include_router(opening.router)


def _shown(source: Source) -> SourceOut:
    return SourceOut.of(replace(source, connection=without_credentials(source.connection)))


@router.post("/sources", status_code=201, response_model=SourceOut, **permits(Permission.USER))
async def create_source(body: CreateSource, context: Ctx, who: Caller, key: IdempotencyKey = None) -> Response:
    """Describe a place where data lies. Its credentials are kept encrypted and never shown again."""

    async def work(uow: UnitOfWork) -> SourceOut:
        new = usecases.NewSource(body.name, body.connection, body.plain(), body.description)
        return _shown(await usecases.create_source(uow, context, who, new))

    return await create_once(context.store, who, key, body, work)


@router.get("/sources", **permits(Permission.USER))
async def list_sources(context: Ctx, who: Caller, page: Paging, q: str | None = None) -> PageOf[SourceOut]:
    """One's own sources (an administrator sees all)."""
    found = await usecases.list_sources(context, who, page, q)
    return PageOf(items=[_shown(source) for source in found.items], next_cursor=found.next_cursor)


@router.get("/sources/{source_id}", **permits(Permission.SEE))
async def get_source(source_id: str, context: Ctx, who: Caller) -> SourceOut:
    """One source, without its secrets."""
    return _shown(await usecases.find_source(context, who, source_id))


@router.put("/sources/{source_id}/credentials", **permits(Permission.CHANGE))
async def put_credentials(source_id: str, body: Credentials, context: Ctx, who: Caller) -> SourceOut:
    """Other credentials in place of the old ones."""
    return _shown(await usecases.change_credentials(context, who, source_id, body.plain()))


@router.get("/sources/{source_id}/files", **permits(Permission.CHANGE))
async def look_into(
    source_id: str,
    context: Ctx,
    who: Caller,
    prefix: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> PageOf[FoundOut]:
    """The first files that lie there: whether it lets us in."""
    found = await usecases.look_into(context, who, source_id, prefix, limit)
    return PageOf(items=[FoundOut.of(one) for one in found])


@router.delete("/sources/{source_id}", status_code=204, **permits(Permission.CHANGE))
async def delete_source(source_id: str, context: Ctx, who: Caller) -> Response:
    """Forget it with its secrets; what was imported from it stays."""
    await usecases.delete_source(context, who, source_id)
    return Response(status_code=204)


@router.post("/datasets/{dataset_id}/imports", status_code=202, response_model=ImportOut, **permits(Permission.CHANGE))
async def import_from_source(
    dataset_id: str, body: ImportFromSource, context: Ctx, who: Caller, key: IdempotencyKey = None
) -> Response:
    """Import what lies in a source now. The answer's state can be watched."""

    async def work(uow: UnitOfWork) -> ImportOut:
        return ImportOut.of(await usecases.import_from(uow, context, who, dataset_id, **body.model_dump()))

    request = ImportInto(dataset_id=dataset_id, wanted=body)
    return await create_once(context.store, who, key, request, work, status=202)
