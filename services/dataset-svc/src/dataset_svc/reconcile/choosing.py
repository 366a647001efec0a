"""Which files of a version are in a formatted set, and what classes they have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from common import manifests
from common.kernel.errors import Invalid
from common.manifests import Entry
from common.ports.files import Files
from common.ports.staging import Split
from common.staging.parting import learn
from common.staging.samples import Classes, FileClasses, Rows, rows_in
from common.staging.splits import TEST, TRAIN, Sides, suffix_of
from dataset_svc.domain.formatted import FormattedSet, Origin, Side
from dataset_svc.reconcile.pile import Pile
from dataset_svc.sets import ANNOTATED


@dataclass(frozen=True)
class Chosen:
    """`entries` are whole files, in the order of their paths. Of those in `parted` only some samples are in the set;
    `rows` says how the samples lie in each file that holds many. `classes` are those of files in which any are
    annotated, None where folders tell them."""

    entries: Pile[Entry]
    parted: Sequence[Entry]
    rows: Mapping[str, Rows]
    classes: Mapping[str, Classes] | None

    def classes_of(self, path: str) -> Classes:
        """The classes of a file that is one sample: annotated, or else its first folder, as in format `dir`."""
        if self.classes is not None:
            return self.classes.get(path, ())
        folder, slash, _ = path.partition("/")
        return (folder,) if slash else ()


def class_of(item: FormattedSet, chosen: Chosen, path: str) -> str | None:
    """The one class of a file; None where it has none, or what is annotated in it is more than that. Raises Invalid
    (`several_classes`) where a record would need one of several."""
    classes = () if item.origin.has_objects else chosen.classes_of(path)
    if len(classes) > 1 and item.format not in ANNOTATED:
        reason = f"{path} has the classes {', '.join(classes)}, and a record of {item.format} has one: choose another."
        raise Invalid("several_classes", reason)
    return classes[0] if len(classes) == 1 else None


def rule_of(item: FormattedSet) -> Split | None:
    """How its version is split for it, None where it has all of it."""
    origin, cut = item.origin, item.cut
    if cut.ratio is None:
        return None
    return Split(cut.ratio, cut.seed, describing=origin.describing, annotations=origin.annotations)


def side_of(item: FormattedSet) -> str:
    """The side of the split that it has."""
    return TEST if item.cut.side == Side.HELD_OUT else TRAIN


def is_sample(origin: Origin, path: str) -> bool:
    """Whether that file is no mere description of others."""
    return suffix_of(path).lower() not in origin.describing


@asynccontextmanager
async def choosing(files: Files, item: FormattedSet, folder: Path) -> AsyncIterator[Chosen]:
    """What is in the set; of long lists most lies below `folder` as long as they are in use. Raises as reading lists of
    files does, and OSError."""
    origin, rule = item.origin, rule_of(item)
    with _pile(folder / "all") as entries, _pile(folder / "chosen") as chosen:
        async for some in manifests.batches(files, origin.manifest):
            await asyncio.to_thread(entries.extend, some)
        rows = await rows_in(files, origin.annotations) if origin.annotations is not None else {}
        classes = await _classes(files, origin, entries)
        if rule is None:
            yield Chosen(entries, (), rows, classes)
        else:
            parted = await asyncio.to_thread(_on_side, side_of(item), rule, entries, chosen, rows, classes)
            yield Chosen(chosen, parted, rows, classes)


def _pile(file: Path) -> Pile[Entry]:
    return Pile(file, Entry.line, Entry.parse)


def _on_side(
    side: str,
    rule: Split,
    entries: Pile[Entry],
    chosen: Pile[Entry],
    rows: Mapping[str, Rows],
    classes: Mapping[str, Classes] | None,
) -> Sequence[Entry]:
    """Fill `chosen` with the files of one side; gives those that have some of their samples on it."""
    sides = Sides(rule)
    learn(sides, (entry for entry in entries if entry.path not in rows), classes)
    parted = []
    for entry in entries:
        if entry.path in rows:
            parted.append(entry)
        elif side in sides.of(entry.path):
            chosen.add(entry)
    return parted


async def _classes(files: Files, origin: Origin, entries: Pile[Entry]) -> Mapping[str, Classes] | None:
    if origin.annotations is None or not len(entries):
        return None
    return await FileClasses(files, origin.annotations).upto(entries[len(entries) - 1].path)
