"""The files of a version as records of a formatted set: bytes, class, and what is annotated in them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from common import manifests
from common.kernel.errors import Problem
from common.manifests import Entry
from common.ports.files import Files
from dataset_svc.domain.formatted import FormattedSet
from dataset_svc.reconcile.choosing import Chosen, class_of
from dataset_svc.sets import Record
from dataset_svc.usecases import annotated

_BATCH_FILES = 64
_BATCH_BYTES = 64 << 20


@dataclass(frozen=True)
class Records:
    """Reads the records of one set. `packs` are where its files' bytes lie, `labels` the numbers of its classes."""

    files: Files
    item: FormattedSet
    chosen: Chosen
    packs: Sequence[str]
    labels: Mapping[str, int]

    async def of(self, entries: Sequence[Entry]) -> list[Record]:
        """Those of these files. Raises Problem (`file_corrupt`), Invalid (`several_classes`)."""
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


async def records_of(files: Files, item: FormattedSet, chosen: Chosen) -> Records:
    """The records of a set, whose classes are numbered in the order of its version's."""
    packs = (await manifests.header(files, item.origin.manifest)).objects
    return Records(files, item, chosen, packs, {name: label for label, name in enumerate(item.origin.classes)})


def shuffled(seed: int, entries: Sequence[Entry]) -> list[Entry]:
    """In an order that the seed gives, so that a reader who takes them one by one meets all classes."""
    return sorted(entries, key=lambda entry: hashlib.sha256(f"order\0{seed}\0{entry.path}".encode()).digest())


def batches(entries: Sequence[Entry]) -> list[list[Entry]]:
    """So many files at once that their bytes are a bearable part of memory; a large one is alone."""
    found: list[list[Entry]] = []
    size = _BATCH_BYTES
    for entry in entries:
        if size + entry.size > _BATCH_BYTES or len(found[-1]) >= _BATCH_FILES:
            found.append([])
            size = 0
        found[-1].append(entry)
        size += entry.size
    return found
