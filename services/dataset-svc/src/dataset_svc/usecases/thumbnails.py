"""Thumbnails of images of a version: made when somebody looks, kept on this node, made again where they are gone."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import NotFound
from common.manifests import Entry
from common.web.identity import Principal
from dataset_svc.context import Context
from dataset_svc.domain.taxonomy import Part
from dataset_svc.looking.thumbnails import KIND, NoThumbnail, Order
from dataset_svc.usecases import annotated
from dataset_svc.usecases.samples import find_content


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A thumbnail that can be made. `key` names its very content: file, size and what is drawn."""

    key: str
    entry: Entry
    manifest: ManifestRef
    order: Order


async def find_thumbnail(
    context: Context,
    who: Principal,
    dataset_id: str,
    path: str,
    *,
    size: int,
    draw: bool,
    number: int | None,
    part: Part,
) -> Thumbnail:
    """The thumbnail of one file, `size` pixels wide or high, with its boxes and outlines where `draw`.

    Raises NotFound (`file_not_found`, `version_not_found` …), Conflict (`dataset_empty`)."""
    _, content = await find_content(context, who, dataset_id, number, part)
    entry = await manifests.find(context.files, content.manifest, path)
    objects: list[dict[str, Any]] = []
    if draw and content.annotations is not None:
        found = await annotated.of(context.files, content.annotations, [path])
        objects = found.get(path, {}).get("objects", [])
    drawn = hashlib.sha256(orjson.dumps(objects)).hexdigest()[:16] if objects else "plain"
    return Thumbnail(f"{entry.sha256}-{size}-{drawn}.{KIND}", entry, content.manifest, Order(size, objects))


async def read_thumbnail(context: Context, wanted: Thumbnail) -> bytes:
    """The PNG. Raises NotFound (`no_thumbnail`) where the file is no image that can be shown, Unavailable
    (`no_thumbnails`)."""
    file = await context.cache.open(wanted.key, lambda path: _make(context, wanted, path))
    png = await asyncio.to_thread(_read, file)
    if not png:
        detail = f"There is no thumbnail of {wanted.entry.path!r}: it is no image, or too large a one."
        raise NotFound("no_thumbnail", detail)
    return png


async def _make(context: Context, wanted: Thumbnail, path: Path) -> None:
    """Make it; nothing stands for one that can't be made, so that it is not tried again."""
    png = b""
    if wanted.entry.size <= context.settings.thumbnail_bytes:
        chunks = manifests.open_entry(context.files, wanted.manifest, wanted.entry)
        data = b"".join([chunk async for chunk in chunks])
        try:
            png = await context.makers.make(data, wanted.order)
        except NoThumbnail:
            png = b""
    await asyncio.to_thread(path.write_bytes, png)


def _read(file: BinaryIO) -> bytes:
    with file:
        return file.read()
