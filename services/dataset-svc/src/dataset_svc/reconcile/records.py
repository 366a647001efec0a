"""The files of a version as records of a formatted set: bytes, class, and what is annotated in them."""

from __future__ import annotations

import asyncio
import hashlib
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Protocol

import orjson

from common import manifests
from common.kernel.errors import Problem
from common.manifests import Entry
from common.ports.files import Files
from dataset_svc.domain.formatted import FormattedSet
from dataset_svc.reconcile.choosing import Chosen, class_of, is_sample
from dataset_svc.sets import Record
from dataset_svc.usecases import annotated

_BUCKETS = 4096
_SHIFT = 64 - 12
"""By the highest bits of its place a name is in one of these buckets."""
_BATCH_FILES = 64
_BATCH_BYTES = 64 << 20


class Records(Protocol):
    """The records of one set."""

    def __len__(self) -> int: ...

    def batches(self) -> AsyncIterator[list[Record]]:
        """All of them in their order, some at a time. Raises Problem (`file_corrupt`), Invalid (`several_classes`)."""
        ...


@dataclass(frozen=True)
class FileRecords:
    """See Records: each is a file. `packs` are where the files' bytes lie, `labels` the numbers of the set's classes,
    `order` those of its samples among the files that are chosen."""

    files: Files
    item: FormattedSet
    chosen: Chosen
    packs: Sequence[str]
    labels: Mapping[str, int]
    order: Sequence[int]

    def __len__(self) -> int:
        return len(self.order)

    async def batches(self) -> AsyncIterator[list[Record]]:
        """See Records."""
        found = batches(map(self.chosen.entries.__getitem__, self.order))
        while entries := await asyncio.to_thread(next, found, None):
            yield await self._of(entries)

    async def _of(self, entries: Sequence[Entry]) -> list[Record]:
        noted, about = self.item.origin.annotations, dict[str, Any]()
        if noted is not None:
            about = await annotated.of(self.files, noted, [entry.path for entry in entries])
        return await asyncio.gather(*(self._record(entry, about.get(entry.path)) for entry in entries))

    async def _record(self, entry: Entry, about: Any) -> Record:
        name = class_of(self.item, self.chosen, entry.path)
        label = self.labels.get(name) if name is not None else None
        return Record(entry.path, name, label, await self._content(entry), orjson.dumps(about) if about else b"")

    async def _content(self, entry: Entry) -> bytes:
        data = b""
        if entry.size:
            stream = self.files.get(self.packs[entry.object], entry.offset, entry.offset + entry.size)
            data = b"".join([chunk async for chunk in stream])
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise Problem("file_corrupt", f"The stored bytes of {entry.path} are damaged. Import the dataset again.")
        return data


async def file_records(files: Files, item: FormattedSet, chosen: Chosen) -> FileRecords:
    """The files of a set as its records."""
    packs = (await manifests.header(files, item.origin.manifest)).objects
    order = await asyncio.to_thread(_order, item, chosen)
    return FileRecords(files, item, chosen, packs, labels_of(item), order)


def labels_of(item: FormattedSet) -> dict[str, int]:
    """The classes of a set, numbered in the order of its version's."""
    return {name: label for label, name in enumerate(item.origin.classes)}


def _order(item: FormattedSet, chosen: Chosen) -> Sequence[int]:
    """The numbers of the files that are samples."""
    numbers, shuffle = array("I"), Shuffle(item.cut.seed)
    for number, entry in enumerate(chosen.entries):
        if is_sample(item.origin, entry.path):
            numbers.append(number)
            shuffle.add(entry.path)
    return array("I", map(numbers.__getitem__, shuffle.order()))


class Shuffle:
    """The order that a seed gives to what is named: a reader who takes it one by one meets all classes. It takes eight
    bytes a name, and four more for the order."""

    def __init__(self, seed: int) -> None:
        self._seed, self._places = seed, array("Q")

    def add(self, name: str) -> None:
        """One more; no other has that name."""
        digest = hashlib.sha256(f"order\0{self._seed}\0{name}".encode()).digest()
        self._places.append(int.from_bytes(digest[:8], "big"))

    def order(self) -> array[int]:
        """The numbers of all, from 0 as they were added. Blocking: a million take seconds."""
        places, found = self._places, array("I", bytes(4 * len(self._places)))
        bounds = self._bounds()
        free = array("Q", bounds)
        for number, place in enumerate(places):
            found[free[place >> _SHIFT]] = number
            free[place >> _SHIFT] += 1
        for start, end in pairwise(bounds):
            found[start:end] = array("I", sorted(found[start:end], key=places.__getitem__))
        return found

    def _bounds(self) -> list[int]:
        """Where each bucket begins, of which the names are sorted for themselves, and in the end how many there are."""
        sizes = Counter(place >> _SHIFT for place in self._places)
        return list(accumulate((sizes[bucket] for bucket in range(_BUCKETS)), initial=0))


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """So many files at once that their bytes are a bearable part of memory; a large one is alone."""
    found: list[Entry] = []
    size = 0
    for entry in entries:
        if found and (size + entry.size > _BATCH_BYTES or len(found) >= _BATCH_FILES):
            yield found
            found, size = [], 0
        found.append(entry)
        size += entry.size
    if found:
        yield found
