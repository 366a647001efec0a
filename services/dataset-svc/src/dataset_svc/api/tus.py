"""Uploads by the TUS protocol 1.0.0 (tus.io), for any client that speaks it: core, creation and termination."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from starlette.requests import ClientDisconnect

from common.kernel.errors import PreconditionFailed, UnsupportedMedia
from common.web.access import Permission, permits
from common.web.identity import Caller
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.domain import tus

router = APIRouter(prefix="/datasets/{dataset_id}/tus", tags=["uploads"])

_COMMON = {"Tus-Resumable": tus.VERSION, "Cache-Control": "no-store"}

Version = Annotated[str | None, Header(alias="Tus-Resumable")]
Length = Annotated[int | None, Header(alias="Upload-Length")]
Offset = Annotated[int | None, Header(alias="Upload-Offset")]
Metadata = Annotated[str | None, Header(alias="Upload-Metadata", description="filename, part, sha256, in Base64")]


@router.options("", status_code=204, **permits(Permission.ANYONE))
async def describe(dataset_id: str, context: Ctx) -> Response:
    """What of the protocol is spoken here."""
    told = {"Tus-Version": tus.VERSION, "Tus-Extension": tus.EXTENSIONS}
    return Response(status_code=204, headers=_COMMON | told | {"Tus-Max-Size": str(context.settings.upload_bytes)})


@router.post("", status_code=201, **permits(Permission.CHANGE))
async def create(
    dataset_id: str,
    request: Request,
    context: Ctx,
    who: Caller,
    version: Version = None,
    length: Length = None,
    metadata: Metadata = None,
) -> Response:
    """Announce a file; `Location` is where its bytes go. It is an upload as any other, with the same id."""
    _check(version)
    wanted = tus.wanted(length, metadata)
    async with context.store.work(actor=who.id) as uow:
        begun = await usecases.begin_upload(
            uow,
            context,
            who,
            dataset_id,
            part=wanted.part,
            filename=wanted.filename,
            size=wanted.size,
            sha256=wanted.sha256,
        )
    return Response(status_code=201, headers=_COMMON | {"Location": f"{request.url.path}/{begun.upload.id}"})


@router.head("/{upload_id}", **permits(Permission.CHANGE))
async def how_far(dataset_id: str, upload_id: str, context: Ctx, who: Caller, version: Version = None) -> Response:
    """How many bytes have come: go on from there."""
    _check(version)
    return _standing(await usecases.standing(context, who, dataset_id, upload_id), 200)


_patch = permits(Permission.CHANGE)
_patch["openapi_extra"] |= {"requestBody": {"required": True, "content": {tus.CONTENT_TYPE: {}}}}


@router.patch("/{upload_id}", status_code=204, **_patch)
async def append(
    dataset_id: str,
    upload_id: str,
    request: Request,
    context: Ctx,
    who: Caller,
    version: Version = None,
    offset: Offset = None,
) -> Response:
    """Send bytes from `Upload-Offset` on. With the last of them the import is queued."""
    _check(version)
    if request.headers.get("content-type", "") != tus.CONTENT_TYPE:
        raise UnsupportedMedia("bad_content_type", f"Bytes of an upload come as {tus.CONTENT_TYPE}.")
    now = await usecases.append(context, who, dataset_id, upload_id, offset, request.stream(), ClientDisconnect)
    return _standing(now, 204)


@router.delete("/{upload_id}", status_code=204, **permits(Permission.CHANGE))
async def terminate(dataset_id: str, upload_id: str, context: Ctx, who: Caller, version: Version = None) -> Response:
    """Give the upload up; what came of it is removed."""
    _check(version)
    await usecases.abort_upload(context, who, dataset_id, upload_id)
    return Response(status_code=204, headers=_COMMON)


def _standing(now: usecases.Standing, status: int) -> Response:
    headers = {"Upload-Offset": str(now.offset)}
    if status == 200:
        headers["Upload-Length"] = str(now.upload.size)
    return Response(status_code=status, headers=_COMMON | headers)


def _check(version: str | None) -> None:
    """Raise PreconditionFailed (`bad_tus_version`) for a client that speaks another version, or none."""
    if version != tus.VERSION:
        detail = f"Tus-Resumable is {version!r}; {tus.VERSION} is spoken here."
        raise PreconditionFailed("bad_tus_version", detail, supported=[tus.VERSION])
