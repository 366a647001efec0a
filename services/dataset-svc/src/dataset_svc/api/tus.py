"""Uploads by the TUS protocol 1.0.0 (tus.io), for any client that speaks it: core, creation, expiration, checksum and
termination."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.routing import APIRoute
from pydantic import BeforeValidator
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from common.kernel.errors import PreconditionFailed, UnsupportedMedia
from common.web.access import Permission, permits
from common.web.identity import Caller
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.domain import tus


class _Spoken(APIRoute):
    """Every answer, a refusal too, says which version is spoken; and a client that can't send every method says in a
    header of its POST which one it means."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route. Only a POST may mean another method: a GET is trusted to be harmless."""
        meant = Headers(scope=scope).get("X-HTTP-Method-Override") if scope.get("method") == "POST" else None
        if meant is None:
            return super().matches(scope)
        method = {"method": meant.upper()}
        match, child = super().matches({**scope, **method})
        return match, {**child, **method} if match == Match.FULL else child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update({"Tus-Resumable": tus.VERSION, "Cache-Control": "no-store"})
                if message["status"] == PreconditionFailed.status:
                    headers["Tus-Version"] = tus.VERSION
            await send(message)

        await super().handle(scope, receive, told)


router = APIRouter(prefix="/datasets/{dataset_id}/tus", tags=["uploads"], route_class=_Spoken)

Version = Annotated[str | None, Header(alias="Tus-Resumable", description=f"{tus.VERSION}, in every request")]
Number = Annotated[int, BeforeValidator(tus.number)]
Length = Annotated[Number | None, Header(alias="Upload-Length", description="Bytes of the whole file")]
Deferred = Annotated[str | None, Header(alias="Upload-Defer-Length", description="Refused: the length must be known")]
Offset = Annotated[Number | None, Header(alias="Upload-Offset", description="The byte at which the body begins")]
Metadata = Annotated[str | None, Header(alias="Upload-Metadata", description="filename, part, sha256, in Base64")]
Checksum = Annotated[
    str | None, Header(alias="Upload-Checksum", description="sha1 or sha256, a space, and that of the body in Base64")
]

_HEADERS = {
    "Tus-Resumable": "The version of the protocol that is spoken",
    "Tus-Version": "All versions that are spoken",
    "Tus-Extension": "What is spoken beyond the core",
    "Tus-Checksum-Algorithm": "By what the bytes of a request may be checked",
    "Tus-Max-Size": "Bytes that a file may have",
    "Location": "Where the bytes go",
    "Upload-Offset": "How many bytes have come",
    "Upload-Length": "How many bytes there will be",
    "Upload-Metadata": "What was told of the file",
    "Upload-Expires": "When the upload is given up, unless more comes",
}
_NOT_SPOKEN = {412: "No version of the protocol was named, or another one"}
_GONE = _NOT_SPOKEN | {410: "It was given up, or has expired: begin anew"}


def _route(
    permission: Permission, status: int, headers: str = "", refused: Mapping[int, str] = _NOT_SPOKEN
) -> dict[str, Any]:
    """What a route asks of the caller, and for the API's document the headers of its answer and how it may refuse."""
    names = ("Tus-Resumable", *headers.split())
    told = {name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names}
    responses: dict[int, Any] = {number: {"description": why} for number, why in refused.items()}
    responses[status] = {"description": "Done", "headers": told}
    return permits(permission) | {"status_code": status, "response_class": Response, "responses": responses}


_describe = _route(Permission.ANYONE, 204, "Tus-Version Tus-Extension Tus-Checksum-Algorithm Tus-Max-Size", {})


@router.options("", **_describe)
async def describe(dataset_id: str, context: Ctx) -> Response:
    """What of the protocol is spoken here."""
    told = {
        "Tus-Version": tus.VERSION,
        "Tus-Extension": tus.EXTENSIONS,
        "Tus-Checksum-Algorithm": ",".join(tus.ALGORITHMS),
        "Tus-Max-Size": str(context.settings.upload_bytes),
    }
    return Response(status_code=204, headers=told)


_too_large = _NOT_SPOKEN | {413: "It is larger than Tus-Max-Size"}


@router.post("", **_route(Permission.CHANGE, 201, "Location Upload-Expires", _too_large))
async def create(
    dataset_id: str,
    request: Request,
    context: Ctx,
    who: Caller,
    version: Version = None,
    length: Length = None,
    deferred: Deferred = None,
    metadata: Metadata = None,
) -> Response:
    """Announce a file; `Location` is where its bytes go. It is an upload as any other, with the same id."""
    _check(version)
    wanted = tus.wanted(length, metadata, deferred=deferred is not None, most=context.settings.upload_bytes)
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
    expires = tus.moment(begun.upload.created_at, context.settings.upload_ttl)
    location = f"{request.url.path}/{begun.upload.id}"
    return Response(status_code=201, headers={"Location": location, "Upload-Expires": expires})


_head = _route(Permission.CHANGE, 200, "Upload-Offset Upload-Length Upload-Metadata Upload-Expires", _GONE)


@router.head("/{upload_id}", **_head)
async def how_far(dataset_id: str, upload_id: str, context: Ctx, who: Caller, version: Version = None) -> Response:
    """How many bytes have come: go on from there."""
    _check(version)
    now = await usecases.standing(context, who, dataset_id, upload_id)
    whole = {"Upload-Length": str(now.upload.size), "Upload-Metadata": tus.metadata(now.upload)}
    return Response(headers=_standing(now) | whole)


_differs = {460: "The bytes are not those of Upload-Checksum"}
_patch = _route(Permission.CHANGE, 204, "Upload-Offset Upload-Expires", _GONE | _differs)
_patch["openapi_extra"] |= {"requestBody": {"required": True, "content": {tus.CONTENT_TYPE: {}}}}


@router.patch("/{upload_id}", **_patch)
async def append(
    dataset_id: str,
    upload_id: str,
    request: Request,
    context: Ctx,
    who: Caller,
    version: Version = None,
    offset: Offset = None,
    checksum: Checksum = None,
) -> Response:
    """Send bytes from `Upload-Offset` on. With the last of them the import is queued. A POST whose
    `X-HTTP-Method-Override` is PATCH is the same."""
    _check(version)
    if request.headers.get("content-type", "") != tus.CONTENT_TYPE:
        raise UnsupportedMedia("bad_content_type", f"Bytes of an upload come as {tus.CONTENT_TYPE}.")
    told = tus.checksum(checksum)
    now = await usecases.append(
        context, who, dataset_id, upload_id, offset, request.stream(), ClientDisconnect, checksum=told
    )
    return Response(status_code=204, headers=_standing(now))


@router.delete("/{upload_id}", **_route(Permission.CHANGE, 204))
async def terminate(dataset_id: str, upload_id: str, context: Ctx, who: Caller, version: Version = None) -> Response:
    """Give the upload up; what came of it is removed."""
    _check(version)
    await usecases.abort_upload(context, who, dataset_id, upload_id)
    return Response(status_code=204)


def _standing(now: usecases.Standing) -> dict[str, str]:
    expires = {"Upload-Expires": now.expires} if now.expires else {}
    return {"Upload-Offset": str(now.offset)} | expires


def _check(version: str | None) -> None:
    """Raise PreconditionFailed (`bad_tus_version`) for a client that speaks another version, or none."""
    if version != tus.VERSION:
        detail = f"Tus-Resumable is {version!r}; {tus.VERSION} is spoken here."
        raise PreconditionFailed("bad_tus_version", detail, supported=[tus.VERSION])
