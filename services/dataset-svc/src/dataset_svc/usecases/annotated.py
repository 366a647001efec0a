"""What is annotated in the files of a version, read from the list that its import left beside it (row D5)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import orjson

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import NotFound
from common.manifests import Entry
from common.ports.files import Files
from dataset_svc.importing.annotated import class_prefix, entry_of


async def between(files: Files, ref: ManifestRef, paths: Sequence[str]) -> dict[str, Any]:
    """What is annotated in these files, which are in order and near one another, by path."""
    if not paths:
        return {}
    wanted = {entry_of(path): path for path in paths}
    found: list[Entry] = []
    async for entry in manifests.entries_from(files, ref, entry_of(paths[0])):
        if entry.path > entry_of(paths[-1]):
            break
        if entry.path in wanted:
            found.append(entry)
    return await _read(files, ref, found)


async def of(files: Files, ref: ManifestRef, paths: Sequence[str]) -> dict[str, Any]:
    """What is annotated in these files, wherever they are, by path."""
    return await _read(files, ref, [entry for path in paths if (entry := await _find(files, ref, path)) is not None])


async def with_class(files: Files, ref: ManifestRef, label: str, path: str, limit: int) -> list[str]:
    """Paths of files that have an object of that class, from `path` on; one more than `limit` where there are more."""
    prefix, found = class_prefix(label), list[str]()
    async for entry in manifests.entries_from(files, ref, prefix + path):
        if not entry.path.startswith(prefix) or len(found) > limit:
            break
        found.append(entry.path.removeprefix(prefix))
    return found


async def _find(files: Files, ref: ManifestRef, path: str) -> Entry | None:
    try:
        return await manifests.find(files, ref, entry_of(path))
    except NotFound:
        return None


async def _read(files: Files, ref: ManifestRef, entries: Sequence[Entry]) -> dict[str, Any]:
    """The entries' JSON, by the path of the file that it is about."""
    objects = (await manifests.header(files, ref)).objects if entries else ()
    reads = [files.read(objects[e.object], e.offset, e.offset + e.size) for e in entries]
    prefix = entry_of("")
    return {
        entry.path.removeprefix(prefix): orjson.loads(data)
        for entry, data in zip(entries, await asyncio.gather(*reads), strict=True)
    }
