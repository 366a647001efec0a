"""Finding files of a version by class and by a part of their name, a page at a time, however many there are."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from common import manifests
from common.contracts.shared import ManifestRef
from common.manifests import Entry
from common.manifests.searching import Span
from dataset_svc.context import Context
from dataset_svc.domain.versions import Content
from dataset_svc.importing.annotated import CLASS_ENTRIES, class_prefix
from dataset_svc.looking.names import KIND, Names, write_names


@dataclass(frozen=True, slots=True)
class Wanted:
    """Files whose names have that part (any, where it is empty), from a path on, at most so many."""

    part: str
    path: str
    most: int


async def entries(context: Context, ref: ManifestRef, prefix: str, wanted: Wanted) -> list[Entry]:
    """The entries with that prefix, in the order of their paths."""
    if wanted.part:
        return await _named(context, ref, prefix, wanted)
    found: list[Entry] = []
    async for entry in manifests.entries_from(context.files, ref, max(prefix, wanted.path)):
        if not entry.path.startswith(prefix) or len(found) == wanted.most:
            break
        found.append(entry)
    return found


async def annotated(context: Context, content: Content, label: str | None, wanted: Wanted) -> list[Entry]:
    """The files in which something of that class is annotated, or all."""
    if label is None:
        return await entries(context, content.manifest, "", wanted)
    return await with_class(context, content, label, wanted)


async def with_class(context: Context, content: Content, label: str, wanted: Wanted) -> list[Entry]:
    """The files in which something of that class is annotated."""
    assert content.annotations is not None, "its annotations are what is searched"
    prefix = class_prefix(label)
    there = Wanted(wanted.part, prefix + wanted.path, wanted.most)
    listed = await entries(context, content.annotations, prefix, there)
    paths = [entry.path.removeprefix(prefix) for entry in listed]
    found = await manifests.find_many(context.files, content.manifest, paths)
    return [entry for entry in found if entry is not None]


async def notes_classes(context: Context, ref: ManifestRef) -> bool:
    """Whether it is noted of files which classes are annotated in them."""
    async for entry in manifests.entries_from(context.files, ref, CLASS_ENTRIES):
        return entry.path.startswith(CLASS_ENTRIES)
    return False


async def _named(context: Context, ref: ManifestRef, prefix: str, wanted: Wanted) -> list[Entry]:
    """The entries with that prefix whose names have the part, by the index of names that this node keeps."""
    first, last = max(prefix, wanted.path), _behind(prefix)
    low, *high = await manifests.places(context.files, ref, [first, last] if last else [first])

    async def make(path: Path) -> None:
        await write_names(context.files, ref, path)

    file = await context.cache.open(f"{_key(ref)}.{KIND}", make)

    def search() -> list[Span]:
        names = Names(file)
        try:
            return names.search(wanted.part, low, high[0] if high else names.end, wanted.most)
        finally:
            names.close()

    return await manifests.entries_at(context.files, ref, await asyncio.to_thread(search))


def _behind(prefix: str) -> str:
    """What follows all paths with that prefix, which ends with a slash; empty where it is empty."""
    return f"{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}" if prefix else ""


def _key(ref: ManifestRef) -> str:
    """What the index of names is called: it is of this very list, which never changes."""
    return hashlib.sha256(f"{ref.address}\n{ref.digest}".encode()).hexdigest()
