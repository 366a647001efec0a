"""Parting the files of a version by a split: what has to be known of all of them first, and what is written anew."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from common.contracts.shared import ManifestRef
from common.disk import telling_when_full
from common.manifests import Entry, batches
from common.ports.files import Files
from common.ports.staging import Split
from common.staging.folder import FolderWriter
from common.staging.rows import RowSides
from common.staging.samples import Classes, FileClasses, Rows
from common.staging.splits import TEST, TRAIN, Sides

InThread = Callable[..., Awaitable[None]]
"""Calls what blocks in a thread, with these arguments."""


async def learned(files: Files, ref: ManifestRef, rule: Split, rows: Collection[str], in_thread: InThread) -> Sides:
    """The sides of all files of a list but of those in `rows`, which have none as a whole."""
    sides = Sides(rule)
    known = FileClasses(files, rule.annotations) if rule.annotations is not None else None
    async for entries in batches(files, ref):
        classes = await known.upto(entries[-1].path) if known is not None else None
        await in_thread(learn, sides, [entry for entry in entries if entry.path not in rows], classes)
    return sides


def learn(sides: Sides, entries: Iterable[Entry], known: Mapping[str, Classes] | None) -> None:
    """Take files in, with their classes where those are `known`; else folders tell them."""
    for entry in entries:
        if known is None:
            sides.learn(entry.path)
        else:
            classes = known.get(entry.path)
            sides.learn(entry.path, classes[0] if classes else "")


@dataclass(frozen=True)
class RowSplit:
    """Files of a version that are parted sample by sample."""

    rule: Split
    rows: Mapping[str, Rows]

    def write(self, writer: FolderWriter, source: int) -> None:
        """Write their two sides, from the folder whose descriptor is `source`. Blocking. Raises StorageFull
        (`storage_full`), OSError."""
        sides = RowSides(self.rule)
        for path, rows in self.rows.items():
            with _opened(source, path) as file:
                sides.learn(rows, file)
        for path, rows in self.rows.items():
            with (
                telling_when_full(path),
                _opened(source, path) as file,
                os.fdopen(writer.create(f"{TRAIN}/{path}"), "wb") as train,
                os.fdopen(writer.create(f"{TEST}/{path}"), "wb") as test,
            ):
                sides.cut(rows, file, {TRAIN: train, TEST: test})


def _opened(folder: int, path: str) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb")
