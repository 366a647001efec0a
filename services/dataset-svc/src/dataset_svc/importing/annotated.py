"""What is annotated in the files of a version, kept beside it: a list of its own, so that the version's digest is that
of what was uploaded and nothing else.

In that list `file/<path>` is what is annotated in a file, as JSON, and an empty `class/<number>/<path>` says that it
has an object of that class; the number stands for the class' name, which may be no name of a folder. What a split goes
by is there too (`common.staging.samples`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import orjson

from common.manifests.pack import PackWriter
from common.staging.samples import CLASSES, rows_entry, written
from dataset_svc.formats import Checker
from dataset_svc.formats.samples import rarest_first

FOLDER = "annotated"
"""Where it is written, within the folder of packs, and stored, below the version's key."""

CLASS_ENTRIES = "class/"
"""What all entries that tell the classes of files begin with."""

_LONGEST_PATH = 2_000
"""Bytes; the list's own prefixes must fit before it."""


def entry_of(path: str) -> str:
    """Where in the list stands what is annotated in a file."""
    return f"file/{path}"


def class_prefix(label: str) -> str:
    """What the entries of files with that class begin with."""
    return f"{CLASS_ENTRIES}{hashlib.sha256(label.encode()).hexdigest()[:16]}/"


def write(checker: Checker, packs: Path, pack_bytes: int) -> None:
    """Write the list, if there is anything to be written. Raises StorageFull (`storage_full`)."""
    writer: PackWriter | None = None
    classes: dict[str, Collection[str]] = {}
    for path, found, labels in checker.annotations():
        if len(path.encode()) > _LONGEST_PATH:
            continue
        writer = writer or PackWriter(packs / FOLDER, pack_bytes=pack_bytes)
        writer.add_bytes(entry_of(path), found)
        for label in labels:
            writer.add_bytes(class_prefix(label) + path, b"")
        if labels:
            classes[path] = labels
    if writer is not None:
        _for_splits(writer, checker, classes)
        writer.finish()


def _for_splits(writer: PackWriter, checker: Checker, classes: Mapping[str, Collection[str]]) -> None:
    """What a split goes by."""
    if classes:
        writer.add(CLASSES, _classes(classes))
    for path, samples in checker.samples().items():
        if len(path.encode()) <= _LONGEST_PATH:
            writer.add(rows_entry(path), written(samples.noted()))


def _classes(classes: Mapping[str, Collection[str]]) -> Iterator[bytes]:
    count = Counter(label for labels in classes.values() for label in labels)
    for path in sorted(classes):
        yield orjson.dumps([path, rarest_first(classes[path], count)]) + b"\n"
