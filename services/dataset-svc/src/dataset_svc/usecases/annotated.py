"""What is annotated in the files of a version, read from the list that its import left beside it (row D5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from common import manifests
from common.contracts.shared import ManifestRef
from common.manifests import Entry
from common.manifests.searching import read_spans
from common.ports.files import Files
from dataset_svc.importing.annotated import entry_of


async def of(files: Files, ref: ManifestRef, paths: Sequence[str]) -> dict[str, Any]:
    """What is annotated in these files, wherever they are, by path."""
    found = await manifests.find_many(files, ref, [entry_of(path) for path in paths])
    return await _read(files, ref, [entry for entry in found if entry is not None])


async def _read(files: Files, ref: ManifestRef, entries: Sequence[Entry]) -> dict[str, Any]:
    """The entries' JSON, by the path of the file that it is about."""
    objects = (await manifests.header(files, ref)).objects if entries else ()
    prefix, found = entry_of(""), dict[str, Any]()
    for number in {entry.object for entry in entries}:
        there = [entry for entry in entries if entry.object == number]
        blocks = await read_spans(files, objects[number], [(e.offset, e.offset + e.size) for e in there])
        known = zip(there, blocks, strict=True)
        found |= {entry.path.removeprefix(prefix): orjson.loads(block) for entry, block in known}
    return found
