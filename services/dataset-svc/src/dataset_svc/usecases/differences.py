"""How two versions of a dataset differ: files added, removed, changed, or renamed (row D12).

Versions never change, so a comparison is made once and kept in a scratch file, of which pages are read. For a million
files it takes some seconds the first time; one at a time is made.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.manifests import difference, local_index
from common.manifests.difference import Change, Difference, Total
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.versions import Version
from dataset_svc.usecases.access import to_see
from dataset_svc.usecases.samples import cursor_of, manifest_of, path_of

_KEPT = 32
"""Comparisons that are kept for their next page, those made last."""
_SCRATCH = "indexes-"
_ABANDONED_SECONDS = 3600.0
"""No comparison takes so long to make, here or by an instance beside this one."""


@dataclass(frozen=True)
class Compared:
    """Two versions side by side, and some of what differs in the order of paths; None as cursor at the end."""

    before: Version
    after: Version
    part: Part
    totals: Mapping[Change, Total]
    items: Sequence[Difference]
    next_cursor: str | None


async def compare_versions(
    context: Context,
    who: Principal,
    dataset_id: str,
    numbers: tuple[int, int],
    *,
    part: Part,
    kind: Change | None,
    limit: int,
    cursor: str | None,
) -> Compared:
    """What is another in the second version than in the first. Raises NotFound (`version_not_found`,
    `part_not_found`), StorageFull (`storage_full`), BadRequest (`bad_cursor`)."""
    start = path_of(cursor)
    async with context.store.reading() as connection:
        await to_see(connection, who, dataset_id)
        before, after = [await storage.version_numbered(connection, dataset_id, number) for number in numbers]
    async with context.comparing:
        result = await _result(context, manifest_of(before, part), manifest_of(after, part))
        totals = await asyncio.to_thread(difference.totals, result)
        found = await asyncio.to_thread(difference.page, result, kind, start, limit + 1)
    more = cursor_of(found[limit - 1].path) if len(found) > limit else None
    return Compared(before, after, part, totals, found[:limit], more)


async def _result(context: Context, before: ManifestRef, after: ManifestRef) -> Path:
    """The file with the comparison, made where it isn't there."""
    name = hashlib.sha256(f"{before.digest}\n{after.digest}".encode()).hexdigest()
    folder = context.comparisons
    result = folder / f"{name}.db"
    if result.exists():
        return result
    with telling_when_full("the comparison of two versions"):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
            old = await local_index(context.files, before, Path(scratch) / "old")
            new = await local_index(context.files, after, Path(scratch) / "new")
            draft = Path(scratch) / result.name
            await asyncio.to_thread(difference.compare, old, new, draft)
            draft.replace(result)
    await asyncio.to_thread(_forget, folder)
    return result


def _forget(folder: Path) -> None:
    """Remove the oldest comparisons; whoever reads one reads it to its end. And what a kill left half made."""
    for scratch in folder.glob(f"{_SCRATCH}*"):
        with suppress(FileNotFoundError):  # whose it was may be done with it at this moment
            if time.time() - scratch.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(scratch, ignore_errors=True)
    made = sorted(folder.glob("*.db"), key=lambda path: path.stat().st_mtime)
    for path in made[:-_KEPT]:
        path.unlink(missing_ok=True)
