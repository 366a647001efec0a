"""Building one formatted set: which files of the version are in it, their bytes, and the files that come of them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common import manifests
from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.kernel.errors import Invalid, Problem
from common.manifests import Entry
from common.ports.staging import Split
from common.staging.splits import TEST, TRAIN, Sides
from dataset_svc.context import Context
from dataset_svc.domain.formatted import FormattedSet, Side
from dataset_svc.sets import CLASSES, RAW, Encoder, Record, Terms, set_format

_BATCH_FILES = 64
_BATCH_BYTES = 64 << 20

Tell = Callable[[float], None]


@dataclass(frozen=True)
class Built:
    """What came of it: its files, and how many records it has, in all and of each class."""

    manifest: ManifestRef
    classes: dict[str, int]
    records: int


def prefix_of(item: FormattedSet) -> str:
    """Under which keys a set is stored."""
    return f"sets/{item.id}"


async def build(context: Context, item: FormattedSet, folder: Path, tell: Tell) -> Built:
    """Build a set and store it. Raises Problem with what is wrong; done again, it gives the same.

    Records come in an order that the seed shuffles, so that a reader who takes them one by one meets all classes.
    """
    chosen = await _chosen(context, item)
    if not chosen:
        raise Invalid("empty_set", "No file of the version falls on that side. Choose another ratio.")
    counts = dict.fromkeys(item.origin.classes, 0)
    for entry in chosen:
        if (name := _class_of(entry)) in counts:
            counts[name] += 1
    if item.format == RAW:
        manifest = await _raw(context, item, chosen)
    else:
        manifest = await _encoded(context, item, chosen, folder, tell)
    return Built(manifest, counts, len(chosen))


async def _chosen(context: Context, item: FormattedSet) -> list[Entry]:
    """The files of the version that are in the set, in the order of their paths."""
    entries = [entry async for entry in manifests.read(context.files, item.origin.manifest)]
    if item.cut.ratio is None:
        return entries
    sides = Sides(Split(item.cut.ratio, item.cut.seed, describing=item.origin.describing))
    for entry in entries:
        sides.learn(entry.path)
    side = TEST if item.cut.side == Side.HELD_OUT else TRAIN
    return [entry for entry in entries if side in sides.of(entry.path)]


async def _raw(context: Context, item: FormattedSet, chosen: Sequence[Entry]) -> ManifestRef:
    """Another list over the version's own packs: no byte is copied."""
    head = await manifests.header(context.files, item.origin.manifest)

    async def entries() -> AsyncIterator[Entry]:
        for entry in chosen:
            yield entry

    return await manifests.store_entries(context.files, prefix_of(item), head.objects, entries())


async def _encoded(
    context: Context, item: FormattedSet, chosen: Sequence[Entry], folder: Path, tell: Tell
) -> ManifestRef:
    """The records in files of their own."""
    labels = {name: label for label, name in enumerate(item.origin.classes)}
    shuffled = sorted(chosen, key=lambda entry: _place(item.cut.seed, entry.path))
    terms = Terms(item.origin.media, list(labels), context.settings.shard_bytes)
    packs = (await manifests.header(context.files, item.origin.manifest)).objects
    with telling_when_full(f"the formatted set {item.name}"):
        encoder = await asyncio.to_thread(_open, item.format, folder, terms)
        try:
            done = 0
            for batch in _batches(shuffled):
                records = await asyncio.gather(*(_record(context, packs, entry, labels) for entry in batch))
                await asyncio.to_thread(_add, encoder, records)
                done += len(batch)
                tell(done / len(shuffled))
        finally:
            await asyncio.to_thread(encoder.close)
        (folder / CLASSES).write_text(json.dumps({"classes": terms.classes}, ensure_ascii=False))
    return await manifests.store_folder(context.files, folder, prefix_of(item))


def _open(format: str, folder: Path, terms: Terms) -> Encoder:
    folder.mkdir(parents=True)
    return set_format(format).open(folder, terms)


def _add(encoder: Encoder, records: Sequence[Record]) -> None:
    for record in records:
        encoder.add(record)


async def _record(context: Context, packs: Sequence[str], entry: Entry, labels: dict[str, int]) -> Record:
    name = _class_of(entry)
    data = b""
    if entry.size:
        stream = context.files.get(packs[entry.object], entry.offset, entry.offset + entry.size)
        data = b"".join([chunk async for chunk in stream])
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise Problem("file_corrupt", f"The stored bytes of {entry.path} are damaged. Import the dataset again.")
    return Record(entry.path, name or None, labels.get(name), data)


def _class_of(entry: Entry) -> str:
    """The first folder, as in format `dir`."""
    folder, slash, _ = entry.path.partition("/")
    return folder if slash else ""


def _place(seed: int, path: str) -> bytes:
    return hashlib.sha256(f"order\0{seed}\0{path}".encode()).digest()


def _batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    """So many files at once that their bytes are a bearable part of memory; a large one is alone."""
    batches: list[list[Entry]] = []
    size = _BATCH_BYTES
    for entry in entries:
        if size + entry.size > _BATCH_BYTES or len(batches[-1]) >= _BATCH_FILES:
            batches.append([])
            size = 0
        batches[-1].append(entry)
        size += entry.size
    return batches
