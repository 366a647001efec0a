"""Archives on their way in, part by part."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Request, Response

from common.db.uow import UnitOfWork
from common.web.access import Permission, permits
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.schemas import (
    AskLinks,
    BeginUpload,
    BeginUploadTo,
    CompleteUpload,
    ImportOut,
    LinksOut,
    PartOut,
    UploadOut,
)

router = APIRouter(prefix="/datasets/{dataset_id}/uploads", tags=["uploads"])

_RAW = {"requestBody": {"required": True, "content": {"application/octet-stream": {}}}}


@router.post("", status_code=201, response_model=UploadOut, **permits(Permission.CHANGE))
async def begin_upload(
    dataset_id: str, body: BeginUpload, context: Ctx, who: Caller, key: IdempotencyKey = None
) -> Response:
    """Begin an upload; the answer says into how many parts of which size the file is to be cut."""

    async def work(uow: UnitOfWork) -> UploadOut:
        begun = await usecases.begin_upload(uow, context, who, dataset_id, **body.model_dump())
        return UploadOut.of(begun.upload)

    return await create_once(context.store, who, key, BeginUploadTo(dataset_id=dataset_id, wanted=body), work)


@router.get("/{upload_id}", **permits(Permission.CHANGE))
async def get_upload(dataset_id: str, upload_id: str, context: Ctx, who: Caller) -> UploadOut:
    """Which parts have arrived: after an interruption send the others."""
    found = await usecases.find_upload(context, who, dataset_id, upload_id)
    return UploadOut.of(found.upload, tuple(found.parts))


_put = permits(Permission.CHANGE)
_put["openapi_extra"] = {**_put["openapi_extra"], **_RAW}


@router.put("/{upload_id}/parts/{number}", **_put)
async def put_part(
    dataset_id: str,
    upload_id: str,
    number: Annotated[int, Path(description="From 1")],
    request: Request,
    context: Ctx,
    who: Caller,
    content_length: Annotated[int | None, Header()] = None,
    sha256: Annotated[str | None, Header(alias="X-Content-SHA256", description="Of this part, in hex")] = None,
) -> PartOut:
    """Send one part as the raw body; it counts only once it is there whole. Sending it again replaces it."""
    stored = await usecases.put_part(
        context, who, dataset_id, upload_id, number, request.stream(), length=content_length, sha256=sha256
    )
    return PartOut.of(stored)


@router.post("/{upload_id}/links", **permits(Permission.CHANGE))
async def ask_links(dataset_id: str, upload_id: str, body: AskLinks, context: Ctx, who: Caller) -> LinksOut:
    """Where to PUT these parts of a direct upload; again after they have expired."""
    return LinksOut.of(await usecases.part_links(context, who, dataset_id, upload_id, body.numbers))


@router.post("/{upload_id}/complete", status_code=202, **permits(Permission.CHANGE))
async def complete_upload(
    dataset_id: str, upload_id: str, context: Ctx, who: Caller, body: CompleteUpload | None = None
) -> ImportOut:
    """All parts are there: import the archive. The answer's state can be watched."""
    sha256 = body.sha256 if body is not None else None
    return ImportOut.of(await usecases.complete_upload(context, who, dataset_id, upload_id, sha256))


@router.delete("/{upload_id}", status_code=204, **permits(Permission.CHANGE))
async def abort_upload(dataset_id: str, upload_id: str, context: Ctx, who: Caller) -> Response:
    """Give an upload up; its parts are removed."""
    await usecases.abort_upload(context, who, dataset_id, upload_id)
    return Response(status_code=204)
