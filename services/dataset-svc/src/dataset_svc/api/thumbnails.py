"""Small pictures of the images of a version."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from common.web.access import Permission, permits
from common.web.identity import Caller
from dataset_svc.api.contents import VersionNumber
from dataset_svc.context import Ctx
from dataset_svc.domain.taxonomy import Part
from dataset_svc.usecases import thumbnails

router = APIRouter(prefix="/datasets/{dataset_id}", tags=["contents"])

_FOR_EVER = "private, max-age=31536000, immutable"
_FOR_NOW = "private, max-age=60"


class Png(Response):
    """A PNG."""

    media_type = "image/png"


@router.get("/samples/thumbnail", response_class=Png, **permits(Permission.SEE))
async def get_thumbnail(
    dataset_id: str,
    path: str,
    context: Ctx,
    who: Caller,
    size: Annotated[int, Query(ge=16, le=1024, description="Pixels of its longer side")] = 128,
    draw: Annotated[bool, Query(description="With boxes and outlines")] = False,
    version: VersionNumber = None,
    part: Part = Part.TRAIN,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Png:
    """A PNG of an image. That of a numbered version never changes, and says so (RFC 8246)."""
    found = await thumbnails.find_thumbnail(
        context, who, dataset_id, path, size=size, draw=draw, number=version, part=part
    )
    tag = f'"{found.key}"'
    headers = {
        "ETag": tag,
        "Cache-Control": _FOR_NOW if version is None else _FOR_EVER,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if if_none_match is not None and tag in if_none_match:
        return Png(status_code=304, headers=headers)
    return Png(await thumbnails.read_thumbnail(context, found), headers=headers)
