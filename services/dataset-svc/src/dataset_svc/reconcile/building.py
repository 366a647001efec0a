"""Building one formatted set: which files of the version are in it, their bytes, and the files that come of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from common import manifests
from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.kernel.errors import Invalid
from common.manifests import Entry
from common.staging.samples import Rows
from dataset_svc.context import Context
from dataset_svc.domain.formatted import FormattedSet
from dataset_svc.formats.port import RowReader
from dataset_svc.reconcile.choosing import Chosen, choosing, is_sample, rule_of, side_of
from dataset_svc.reconcile.encoding import encoding
from dataset_svc.reconcile.parting import note, part
from dataset_svc.reconcile.records import Records, file_records
from dataset_svc.reconcile.rows import Tell, reader_of, row_pile, row_records
from dataset_svc.sets import CLASSES, RAW, Terms

_AT_ONCE = 4096
"""Entries of a list that are taken before others have their turn."""


@dataclass(frozen=True)
class Built:
    """What came of it: files, what is annotated in them, and how many samples it has, in all and of each class."""

    manifest: ManifestRef
    classes: dict[str, int]
    records: int
    annotations: ManifestRef | None = None


def prefix_of(item: FormattedSet) -> str:
    """Under which keys a set is stored."""
    return f"sets/{item.id}"


async def build(context: Context, item: FormattedSet, folder: Path, tell: Tell) -> Built:
    """Build a set and store it. Raises Problem with what is wrong; done again, it gives the same.

    Records come in an order that the seed shuffles, so that a reader who takes them one by one meets all classes.
    """
    with telling_when_full(f"the formatted set {item.name}"):
        async with choosing(context.files, item, folder / "lists") as chosen:
            if item.format == RAW:
                return await _raw(context, item, chosen, folder)
            read = reader_of(item.origin)
            if read is None:
                return await _of_files(context, item, chosen, folder, tell)
            return await _of_rows(context, item, chosen, read, folder, tell)


async def _raw(context: Context, item: FormattedSet, chosen: Chosen, folder: Path) -> Built:
    """Files as they are in the dataset, or those that hold many samples with some of these."""
    return await (_parted(context, item, chosen, folder) if chosen.parted else _listed(context, item, chosen))


async def _of_files(context: Context, item: FormattedSet, chosen: Chosen, folder: Path, tell: Tell) -> Built:
    """Files as records."""
    await asyncio.to_thread(_check_some, item, chosen, {})
    records = await file_records(context.files, item, chosen)
    manifest = await _encoded(context, item, records, item.origin.annotations is not None, folder, tell)
    return await asyncio.to_thread(_counted, item, chosen, {}, manifest)


async def _of_rows(
    context: Context, item: FormattedSet, chosen: Chosen, read: RowReader, folder: Path, tell: Tell
) -> Built:
    """The texts in files as records: reading them is half of it."""

    def read_so_far(part: float) -> None:
        tell(part / 2)

    def written(part: float) -> None:
        tell((1 + part) / 2)

    with row_pile(folder / "rows") as pile:
        records = await row_records(context.files, item, chosen, read, pile, folder / "whole", read_so_far)
        manifest = await _encoded(context, item, records, item.origin.has_objects, folder, written, rows=True)
    return Built(manifest, dict(records.counts), len(records))


def _check_some(item: FormattedSet, chosen: Chosen, rows: Mapping[str, Rows]) -> None:
    """Raise Invalid (`empty_set`) where there are no files that are samples as a whole, and no rows either."""
    if not rows and next(_samples(item, chosen, rows), None) is None:
        raise Invalid("empty_set", "No sample of the version falls on that side. Choose another ratio.")


def _samples(item: FormattedSet, chosen: Chosen, rows: Mapping[str, Rows]) -> Iterator[Entry]:
    """The files that are samples as a whole."""
    return (entry for entry in chosen.entries if entry.path not in rows and is_sample(item.origin, entry.path))


def _counted(
    item: FormattedSet,
    chosen: Chosen,
    rows: Mapping[str, Rows],
    manifest: ManifestRef,
    annotations: ManifestRef | None = None,
) -> Built:
    """Its samples counted by class: files, and in those in `rows` the rows."""
    counts, records = dict.fromkeys(item.origin.classes, 0), 0
    of_files = (chosen.classes_of(entry.path) for entry in _samples(item, chosen, rows))
    of_rows = (one.classes(number) for one in rows.values() for number in range(len(one.starts)))
    for classes in chain(of_files, of_rows):
        records += 1
        for name in counts.keys() & classes:
            counts[name] += 1
    return Built(manifest, counts, records, annotations)


async def _listed(context: Context, item: FormattedSet, chosen: Chosen) -> Built:
    """Whole files of its version, of which no byte is copied."""
    await asyncio.to_thread(_check_some, item, chosen, chosen.rows)
    manifest = await _another_list(context, item, chosen.entries)
    return await asyncio.to_thread(_counted, item, chosen, chosen.rows, manifest, item.origin.annotations)


async def _parted(context: Context, item: FormattedSet, chosen: Chosen, folder: Path) -> Built:
    """Of files that hold many samples, those of its side, in files of its own."""
    rule = rule_of(item)
    assert rule is not None
    made, rows = await part(context.files, item.origin, chosen, rule, side_of(item), folder)
    await asyncio.to_thread(_check_some, item, chosen, rows)
    manifest = await manifests.store_folder(context.files, made, prefix_of(item))
    noted = await note(context.files, chosen, rows, f"{prefix_of(item)}/annotations")
    return await asyncio.to_thread(_counted, item, chosen, rows, manifest, noted)


async def _another_list(context: Context, item: FormattedSet, chosen: Iterable[Entry]) -> ManifestRef:
    """One over the version's own packs: no byte is copied."""
    head = await manifests.header(context.files, item.origin.manifest)

    async def entries() -> AsyncIterator[Entry]:
        found = iter(chosen)
        while some := await asyncio.to_thread(list, islice(found, _AT_ONCE)):
            for entry in some:
                yield entry

    return await manifests.store_entries(context.files, prefix_of(item), head.objects, entries())


async def _encoded(
    context: Context,
    item: FormattedSet,
    records: Records,
    annotated: bool,
    folder: Path,
    tell: Tell,
    *,
    rows: bool = False,
) -> ManifestRef:
    """The records in files of their own."""
    made, classes = folder / "made", list(item.origin.classes)
    terms = Terms(item.origin.media, classes, context.settings.shard_bytes, annotated, rows)
    async with encoding(item.format, made, terms) as add:
        done = 0
        async for batch in records.batches():
            await add(batch)
            done += len(batch)
            tell(done / len(records))
    (made / CLASSES).write_text(json.dumps({"classes": classes}, ensure_ascii=False))
    return await manifests.store_folder(context.files, made, prefix_of(item))
