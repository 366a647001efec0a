"""What is in a version: its samples, and the bytes of a file."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from common.web.access import Permission, permits
from common.web.downloads import RESPONSES, WantsLink, answer
from common.web.identity import Caller
from common.web.paging import PageOf
from dataset_svc import usecases
from dataset_svc.context import Ctx
from dataset_svc.domain.taxonomy import Part
from dataset_svc.schemas import SampleOut

router = APIRouter(prefix="/datasets/{dataset_id}", tags=["contents"])

_SHOWN = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".webp": "image/webp",
    ".txt": "text/plain",
}
"""What a browser may be told of a file that a stranger uploaded; everything else is just bytes."""

VersionNumber = Annotated[int | None, Query(ge=1, description="The current one where it is left out")]


@router.get("/samples", **permits(Permission.SEE))
async def list_samples(
    dataset_id: str,
    context: Ctx,
    who: Caller,
    label: Annotated[str | None, Query(alias="class", description="One class alone")] = None,
    q: Annotated[str, Query(max_length=200, description="A part of the file's name, whatever its case")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str | None = None,
    version: VersionNumber = None,
    part: Part = Part.TRAIN,
) -> PageOf[SampleOut]:
    """The files of a version in the order of their paths, with what is annotated in them."""
    page = await usecases.list_samples(
        context,
        who,
        dataset_id,
        label=label,
        part_of_name=q,
        limit=limit,
        cursor=cursor,
        number=version,
        part=part,
    )
    drawn = page.annotations
    items = [SampleOut.of(s, dataset_id, page.version, page.part, drawn.get(s.path)) for s in page.items]
    return PageOf(items=items, next_cursor=page.next_cursor)


@router.get("/samples/file", response_class=StreamingResponse, responses=RESPONSES, **permits(Permission.SEE))
async def get_sample(
    dataset_id: str,
    path: str,
    context: Ctx,
    who: Caller,
    request: Request,
    version: VersionNumber = None,
    part: Part = Part.TRAIN,
    link: WantsLink = False,
) -> Response:
    """The bytes of one file, or where they are."""
    place = await usecases.place_of_sample(context, who, dataset_id, path, number=version, part=part)
    headers = {
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "ETag": f'"{place.entry.sha256}"',
        "Cache-Control": "private, max-age=3600",
    }
    shown = _SHOWN.get(PurePosixPath(place.entry.path).suffix.lower(), "application/octet-stream")
    return await answer(place, request, context.store.clock.now(), link=link, media_type=shown, headers=headers)
