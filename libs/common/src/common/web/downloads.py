"""Downloads: always as an attachment that no browser guesses a type for; by a link to the file store where that is
asked for, so that a large file need not pass through a service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from common import manifests
from common.contracts.shared import ManifestRef
from common.manifests import Entry
from common.ports.files import Files, Linking

LINK_SECONDS = 600
"""For how long a link lets a download begin; one that has begun goes on."""

WantsLink = Annotated[bool, Query(alias="link", description="Answer where the bytes are, instead of the bytes")]


class LinkOut(BaseModel):
    """Where a file's bytes can be had by GET with these `headers`, as they are, and no others that say who one is.

    `direct`: from the file store, until `expires_at`; there a `Range` may be asked for where `headers` has none. Else
    the store gives no links, and `url` is the address without `link`, for whoever is logged in.
    """

    url: str
    headers: dict[str, str] = Field(default_factory=dict)
    direct: bool
    expires_at: datetime | None
    size: int
    sha256: str


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": LinkOut, "description": "The bytes, or with `link` where they are"}
}
"""What a route that takes `WantsLink` says of its answers."""


@dataclass(frozen=True)
class Place:
    """A file of a manifest."""

    files: Files
    ref: ManifestRef
    entry: Entry

    @property
    def name(self) -> str:
        """What the file is called, without its folders."""
        return self.entry.path.rpartition("/")[2]


def attachment(name: str) -> dict[str, str]:
    """The headers of a download with that file name (RFC 6266, RFC 8187)."""
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "._- ") else "_" for char in name)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return {"Content-Disposition": disposition, "X-Content-Type-Options": "nosniff"}


async def answer(
    place: Place,
    request: Request,
    now: datetime,
    *,
    link: bool,
    media_type: str = "application/octet-stream",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The bytes of a file as an attachment, or with `link` where they are. Whether the caller may have them was
    decided before."""
    if link:
        told = await _link(place, request, now)
        return JSONResponse(told.model_dump(mode="json"), headers={"Cache-Control": "no-store"})
    sent = {**attachment(place.name), "Content-Length": str(place.entry.size), **(headers or {})}
    content = manifests.open_entry(place.files, place.ref, place.entry)
    return StreamingResponse(content, media_type=media_type, headers=sent)


async def _link(place: Place, request: Request, now: datetime) -> LinkOut:
    entry = place.entry
    known: dict[str, Any] = {"size": entry.size, "sha256": entry.sha256}
    if not (place.files.capabilities.presign and entry.size):
        here = request.url.remove_query_params("link")
        address = here.path + (f"?{here.query}" if here.query else "")
        return LinkOut(url=address, direct=False, expires_at=None, **known)
    store = cast(Linking, place.files)
    head = await manifests.header(store, place.ref)
    key, end = head.objects[entry.object], entry.offset + entry.size
    whole = not entry.offset and (await store.stat(key)).size == end
    span = None if whole else (entry.offset, end)
    url = await store.presign_get(key, LINK_SECONDS, name=place.name, span=span)
    return LinkOut(
        url=url,
        headers={} if span is None else {"Range": f"bytes={entry.offset}-{end - 1}"},
        direct=True,
        expires_at=now + timedelta(seconds=LINK_SECONDS),
        **known,
    )
