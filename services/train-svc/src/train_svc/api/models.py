"""Models: list, edit, download, publish, delete (rows M1, M3–M6)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from common.contracts.shared import Visibility
from common.db.uow import UnitOfWork
from common.web.access import Permission, permits, visible
from common.web.downloads import RESPONSES, WantsLink, answer
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from train_svc import publishing
from train_svc.api.results import Cursor, FilePath, Limit, all_files, listed, place_of
from train_svc.context import Ctx
from train_svc.schemas.jobs import FileOut
from train_svc.schemas.models import LineageOut, ModelOut, ModelPatch, PublishedOut, PublishIn, ThingNamed
from train_svc.storage import jobs, models, models_table

router = APIRouter(tags=["models"])


@router.get("/models", **permits(Permission.USER))
async def list_models(
    context: Ctx,
    who: Caller,
    page: Paging,
    q: str | None = None,
    purpose: str | None = None,
    owner: str | None = None,
    job_id: str | None = None,
    visibility: Annotated[Visibility | None, Query()] = None,
) -> PageOf[ModelOut]:
    """The models that the caller may see."""
    columns = models_table.c
    wanted = [visible(who, models_table), columns.deleted.is_(False)]
    wanted += [columns.name.icontains(q, autoescape=True)] if q else []
    wanted += [columns.shared.is_(visibility != Visibility.PRIVATE)] if visibility else []
    exact = {"purpose": purpose, "owner": owner, "job_id": job_id}
    wanted += [columns[name] == value for name, value in exact.items() if value is not None]
    async with context.kit.store.reading() as connection:
        found = await models.page(connection, page, *wanted)
    return PageOf(items=[ModelOut.of(model) for model in found.items], next_cursor=found.next_cursor)


@router.get("/models/{model_id}", **permits(Permission.SEE))
async def get_model(context: Ctx, who: Caller, model_id: str) -> ModelOut:
    """A model with its metrics and where it comes from."""
    return ModelOut.of(await publishing.seen(context, who, model_id))


@router.patch("/models/{model_id}", **permits(Permission.CHANGE))
async def edit_model(context: Ctx, who: Caller, model_id: str, body: ModelPatch) -> ModelOut:
    """Change its name or description."""
    async with context.kit.store.work(actor=who.id) as uow:
        return ModelOut.of(await publishing.edit(uow, who, model_id, body.name, body.description))


@router.delete("/models/{model_id}", status_code=204, **permits(Permission.CHANGE))
async def delete_model(context: Ctx, who: Caller, model_id: str) -> Response:
    """Delete it. Services that it became go on."""
    async with context.kit.store.work(actor=who.id) as uow:
        await publishing.delete(uow, who, model_id)
    return Response(status_code=204)


@router.post("/models/{model_id}/publish", status_code=202, response_model=PublishedOut, **permits(Permission.CHANGE))
async def publish_model(
    context: Ctx, who: Caller, model_id: str, body: PublishIn, key: IdempotencyKey = None
) -> Response:
    """Make a service of it; `service_id` is the id that the service will have in a moment."""
    # the key's request names the model too: the same body for another model is another request
    asked = _Publishing(model_id=model_id, **body.model_dump())

    async def work(uow: UnitOfWork) -> PublishedOut:
        model, service = await publishing.publish(uow, who, model_id, body.service_name, body.description)
        return PublishedOut.of(model, service_id=service)

    return await create_once(context.kit.store, who, key, asked, work, status=202)


class _Publishing(PublishIn):
    model_id: str


@router.get("/models/{model_id}/lineage", **permits(Permission.SEE))
async def get_lineage(context: Ctx, who: Caller, model_id: str) -> LineageOut:
    """Where it comes from, readable also when the job, the dataset or the algorithm are gone, and what it became."""
    model = await publishing.seen(context, who, model_id)
    async with context.kit.store.reading() as connection:
        job = await jobs.find(connection, model.lineage.job_id)
    return LineageOut(
        model=ThingNamed(id=model.id, name=model.name),
        job=ThingNamed(id=job.id, name=job.name, deleted=job.deleted) if job else None,
        lineage=model.lineage,
        services=list(model.services),
    )


@router.get("/models/{model_id}/files", **permits(Permission.SEE))
async def list_files(
    context: Ctx, who: Caller, model_id: str, limit: Limit = 1000, cursor: Cursor = None
) -> PageOf[FileOut]:
    """Its files."""
    model = await publishing.seen(context, who, model_id)
    return await listed(context.kit.platform.files, model.manifest, limit, cursor)


@router.get(
    "/models/{model_id}/files/file", response_class=StreamingResponse, responses=RESPONSES, **permits(Permission.SEE)
)
async def get_file(
    context: Ctx, who: Caller, request: Request, model_id: str, path: FilePath, link: WantsLink = False
) -> Response:
    """One file, or where it is."""
    model = await publishing.seen(context, who, model_id)
    place = await place_of(context.kit.platform.files, model.manifest, path, "model's files")
    return await answer(place, request, context.kit.store.clock.now(), link=link)


@router.get("/models/{model_id}/files.zip", response_class=StreamingResponse, **permits(Permission.SEE))
async def get_files(context: Ctx, who: Caller, model_id: str) -> Response:
    """All of them as a zip (row M3)."""
    model = await publishing.seen(context, who, model_id)
    return all_files(context.kit.platform.files, model.manifest, f"{model.name}.zip")
