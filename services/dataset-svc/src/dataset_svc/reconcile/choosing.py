"""Which files of a version are in a formatted set, and what classes they have."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common import manifests
from common.kernel.errors import Invalid
from common.manifests import Entry
from common.ports.files import Files
from common.ports.staging import Split
from common.staging.parting import learned
from common.staging.samples import Classes, FileClasses, Rows, rows_in
from common.staging.splits import TEST, TRAIN, suffix_of
from dataset_svc.domain.formatted import FormattedSet, Origin, Side
from dataset_svc.sets import ANNOTATED


@dataclass(frozen=True)
class Chosen:
    """`entries` are whole files, in the order of their paths. Of those in `parted` only some samples are in the set;
    `rows` says how the samples lie in each file that holds many. `classes` are those of files in which any are
    annotated, None where folders tell them."""

    entries: Sequence[Entry]
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


async def choose(files: Files, item: FormattedSet) -> Chosen:
    """What is in the set. Raises as reading lists of files does."""
    origin, rule = item.origin, rule_of(item)
    entries = [entry async for entry in manifests.read(files, origin.manifest)]
    rows = await rows_in(files, origin.annotations) if origin.annotations is not None else {}
    classes = await _classes(files, origin, entries)
    if rule is None:
        return Chosen(entries, (), rows, classes)
    sides, side = await learned(files, origin.manifest, rule, rows, asyncio.to_thread), side_of(item)
    chosen = [entry for entry in entries if entry.path not in rows and side in sides.of(entry.path)]
    return Chosen(chosen, [entry for entry in entries if entry.path in rows], rows, classes)


async def _classes(files: Files, origin: Origin, entries: Sequence[Entry]) -> Mapping[str, Classes] | None:
    if origin.annotations is None or not entries:
        return None
    return await FileClasses(files, origin.annotations).upto(entries[-1].path)
