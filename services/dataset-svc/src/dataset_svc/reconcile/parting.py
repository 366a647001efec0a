"""A raw set of which some files are parted line by line: these are written anew, and so is how their samples lie."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from common import manifests
from common.contracts.shared import ManifestRef
from common.manifests import Entry
from common.ports.files import Files
from common.ports.staging import Split
from common.staging import rows as lines
from common.staging.samples import Rows, rows_entry, written
from dataset_svc.domain.formatted import Origin
from dataset_svc.reconcile.choosing import Chosen


async def part(
    files: Files, origin: Origin, chosen: Chosen, rule: Split, side: str, folder: Path
) -> tuple[Path, dict[str, Rows]]:
    """Write the set's files below `folder`: where, and how the samples lie in those that were parted."""
    made, kept = folder / "files", dict[str, Rows]()
    for entry in chosen.entries:
        await _fetch(files, origin.manifest, entry, made / entry.path)
    for entry in chosen.parted:
        whole, place = folder / "whole", made / entry.path
        await _fetch(files, origin.manifest, entry, whole)
        rows = await asyncio.to_thread(_cut, rule, chosen.rows[entry.path], whole, side, place)
        if rows.starts:
            kept[entry.path] = rows
        else:
            await asyncio.to_thread(place.unlink)
    return made, kept


async def note(files: Files, rows: Mapping[str, Rows], prefix: str) -> ManifestRef:
    """Store how the samples lie, as an import does."""
    content = {rows_entry(path): b"".join(written(found)) for path, found in rows.items()}
    return await manifests.store_bytes(files, content, prefix)


def _cut(rule: Split, rows: Rows, whole: Path, side: str, place: Path) -> Rows:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as out:
        return lines.cut(rule, rows, lambda: whole.open("rb"), {side: out})[side]


async def _fetch(files: Files, ref: ManifestRef, entry: Entry, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with to.open("wb") as out:
        async for chunk in manifests.open_entry(files, ref, entry):
            await asyncio.to_thread(out.write, chunk)
