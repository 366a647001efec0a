"""Building one formatted set: which files of the version are in it, their bytes, and the files that come of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from common import manifests
from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.kernel.errors import Invalid
from common.manifests import Entry
from common.staging.samples import Rows
from dataset_svc.context import Context
from dataset_svc.domain.formatted import FormattedSet
from dataset_svc.reconcile.choosing import Chosen, choose, is_sample, rule_of, side_of
from dataset_svc.reconcile.parting import note, part
from dataset_svc.reconcile.records import batches, records_of, shuffled
from dataset_svc.sets import CLASSES, RAW, Encoder, Record, Terms, set_format

Tell = Callable[[float], None]


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
    chosen = await choose(context.files, item)
    if item.format == RAW:
        return await (_parted(context, item, chosen, folder) if chosen.parted else _listed(context, item, chosen))
    samples = _samples(item, chosen, {})
    manifest = await _encoded(context, item, chosen, samples, folder, tell)
    return await asyncio.to_thread(_counted, item, chosen, {}, manifest)


def _samples(item: FormattedSet, chosen: Chosen, rows: Mapping[str, Rows]) -> Sequence[Entry]:
    """The files that are samples as a whole. Raises Invalid (`empty_set`) where there are none, and no rows either."""
    found = [entry for entry in chosen.entries if entry.path not in rows and is_sample(item.origin, entry.path)]
    if not found and not rows:
        raise Invalid("empty_set", "No sample of the version falls on that side. Choose another ratio.")
    return found


def _counted(
    item: FormattedSet,
    chosen: Chosen,
    rows: Mapping[str, Rows],
    manifest: ManifestRef,
    annotations: ManifestRef | None = None,
) -> Built:
    """Its samples counted by class: files, and in those in `rows` the rows. Raises as `_samples`."""
    files = _samples(item, chosen, rows)
    counts = dict.fromkeys(item.origin.classes, 0)
    of_files = (chosen.classes_of(entry.path) for entry in files)
    of_rows = (one.classes(number) for one in rows.values() for number in range(len(one.starts)))
    for name in chain.from_iterable(chain(of_files, of_rows)):
        if name in counts:
            counts[name] += 1
    records = len(files) + sum(len(one.starts) for one in rows.values())
    return Built(manifest, counts, records, annotations)


async def _listed(context: Context, item: FormattedSet, chosen: Chosen) -> Built:
    """Whole files of its version, of which no byte is copied."""
    _samples(item, chosen, chosen.rows)
    manifest = await _raw(context, item, chosen.entries)
    return await asyncio.to_thread(_counted, item, chosen, chosen.rows, manifest, item.origin.annotations)


async def _parted(context: Context, item: FormattedSet, chosen: Chosen, folder: Path) -> Built:
    """Of files that hold many samples, those of its side, in files of its own."""
    rule = rule_of(item)
    assert rule is not None
    with telling_when_full(f"the formatted set {item.name}"):
        made, rows = await part(context.files, item.origin, chosen, rule, side_of(item), folder)
    _samples(item, chosen, rows)
    manifest = await manifests.store_folder(context.files, made, prefix_of(item))
    noted = await note(context.files, chosen, rows, f"{prefix_of(item)}/annotations")
    return await asyncio.to_thread(_counted, item, chosen, rows, manifest, noted)


async def _raw(context: Context, item: FormattedSet, chosen: Sequence[Entry]) -> ManifestRef:
    """Another list over the version's own packs: no byte is copied."""
    head = await manifests.header(context.files, item.origin.manifest)

    async def entries() -> AsyncIterator[Entry]:
        for entry in chosen:
            yield entry

    return await manifests.store_entries(context.files, prefix_of(item), head.objects, entries())


async def _encoded(
    context: Context, item: FormattedSet, chosen: Chosen, samples: Sequence[Entry], folder: Path, tell: Tell
) -> ManifestRef:
    """The records in files of their own."""
    records = await records_of(context.files, item, chosen)
    classes, noted = list(item.origin.classes), item.origin.annotations
    terms = Terms(item.origin.media, classes, context.settings.shard_bytes, annotated=noted is not None)
    with telling_when_full(f"the formatted set {item.name}"):
        encoder = await asyncio.to_thread(_open, item.format, folder, terms)
        try:
            done = 0
            for batch in batches(shuffled(item.cut.seed, samples)):
                await asyncio.to_thread(_add, encoder, await records.of(batch))
                done += len(batch)
                tell(done / len(samples))
        finally:
            await asyncio.to_thread(encoder.close)
        (folder / CLASSES).write_text(json.dumps({"classes": classes}, ensure_ascii=False))
    return await manifests.store_folder(context.files, folder, prefix_of(item))


def _open(format: str, folder: Path, terms: Terms) -> Encoder:
    folder.mkdir(parents=True)
    return set_format(format).open(folder, terms)


def _add(encoder: Encoder, records: Sequence[Record]) -> None:
    for record in records:
        encoder.add(record)
