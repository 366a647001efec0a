"""A raw set of which some files are parted by samples: these are written anew, and so is how their samples lie."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path

import orjson

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import Problem
from common.manifests import Entry
from common.ports.files import Files
from common.ports.staging import Split
from common.staging.rows import RowSides
from common.staging.samples import CLASSES, Rows, rows_entry, written
from dataset_svc.domain.formatted import Origin
from dataset_svc.reconcile.choosing import Chosen


async def part(
    files: Files, origin: Origin, chosen: Chosen, rule: Split, side: str, folder: Path
) -> tuple[Path, dict[str, Rows]]:
    """Write the set's files below `folder`: where, and how the samples lie in those that were parted. Raises Problem
    (`file_corrupt`)."""
    made, whole = folder / "files", folder / "whole"
    for entry in chosen.entries:
        await fetch(files, origin.manifest, entry, made / entry.path)
    for entry in chosen.parted:
        await fetch(files, origin.manifest, entry, whole / entry.path)
    return made, await asyncio.to_thread(_cut, rule, chosen, side, whole, made)


async def note(files: Files, chosen: Chosen, rows: Mapping[str, Rows], prefix: str) -> ManifestRef:
    """Store what a split of the set goes by, as an import does."""
    return await manifests.store_bytes(files, await asyncio.to_thread(_noted, chosen, rows), prefix)


def _noted(chosen: Chosen, rows: Mapping[str, Rows]) -> dict[str, bytes]:
    told = [[entry.path, list(chosen.classes_of(entry.path))] for entry in chosen.entries]
    content = {rows_entry(path): b"".join(written(found)) for path, found in rows.items()}
    return content | {CLASSES: b"".join(orjson.dumps(pair) + b"\n" for pair in told if pair[1])}


def _cut(rule: Split, chosen: Chosen, side: str, whole: Path, made: Path) -> dict[str, Rows]:
    """Write the side of every parted file that has any sample on it."""
    sides, kept = RowSides(rule), dict[str, Rows]()
    for entry in chosen.parted:
        with (whole / entry.path).open("rb") as file:
            sides.learn(chosen.rows[entry.path], file)
    for entry in chosen.parted:
        place = made / entry.path
        place.parent.mkdir(parents=True, exist_ok=True)
        with (whole / entry.path).open("rb") as file, place.open("wb") as out:
            rows = sides.cut(chosen.rows[entry.path], file, {side: out})[side]
        if rows.starts:
            kept[entry.path] = rows
        else:
            place.unlink()
    return kept


async def fetch(files: Files, ref: ManifestRef, entry: Entry, to: Path) -> None:
    """Write one file of a list there. Raises Problem (`file_corrupt`), OSError."""
    to.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with to.open("wb") as out:
        async for chunk in manifests.open_entry(files, ref, entry):
            await asyncio.to_thread(out.write, chunk)
            digest.update(chunk)
    if digest.hexdigest() != entry.sha256:
        raise Problem("file_corrupt", f"The stored bytes of {entry.path} are damaged. Import the dataset again.")
