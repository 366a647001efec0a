"""The texts in a version's files as records of a formatted set: rows of tables, JSON lines, elements of lists.

Which of them are in a set is decided by the same rule, over the same bytes, as for raw sets and jobs. They are read
once, put on disk as they come, and taken from there in the order that the seed gives.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import orjson

from common.kernel.errors import Invalid, Problem
from common.manifests import Entry
from common.ports.files import Files
from common.staging.filling import Work, side_by_side
from common.staging.rows import RowSides, pieces
from dataset_svc.domain.formatted import FormattedSet, Origin
from dataset_svc.formats import Row, get_format
from dataset_svc.formats.decoding import ENCODINGS, NotText
from dataset_svc.formats.port import RowReader
from dataset_svc.formats.rereading import lines_of
from dataset_svc.formats.texts import Reader
from dataset_svc.reconcile.choosing import Chosen, is_sample, rule_of, side_of
from dataset_svc.reconcile.parting import fetch
from dataset_svc.reconcile.pile import Pile
from dataset_svc.reconcile.records import Shuffle, batches, labels_of
from dataset_svc.sets import Record

_BATCH_ROWS = 1000
_BATCH_CHARACTERS = 16 << 20
_CHUNK = 1 << 20

Tell = Callable[[float], None]
"""Is told what part is done."""


class Placed(NamedTuple):
    """A row, the file that it is in, and its number there, from 1."""

    path: str
    number: int
    row: Row


def reader_of(origin: Origin) -> RowReader | None:
    """What reads the rows of its files; None where each file is a record."""
    # what was ordered before rows could be records does not say how its dataset is arranged
    return get_format(origin.format).recorded(origin.purpose).rows if origin.format else None


def row_pile(file: Path) -> Pile[Placed]:
    """Where rows are put."""
    return Pile(file, _dumped, _loaded)


def _dumped(one: Placed) -> bytes:
    text, classes, annotations = one.row
    return orjson.dumps([one.path, one.number, text, list(classes), annotations.decode()])


def _loaded(data: bytes) -> Placed:
    path, number, text, classes, annotations = orjson.loads(data)
    return Placed(path, number, Row(text, classes, annotations.encode()))


@dataclass(frozen=True)
class RowRecords:
    """See Records: each is a row. `counts` are the rows of each class."""

    item: FormattedSet
    pile: Pile[Placed]
    counts: Mapping[str, int]
    order: Sequence[int]

    def __len__(self) -> int:
        return len(self.order)

    async def batches(self) -> AsyncIterator[list[Record]]:
        """See Records."""
        numbers, labels = iter(self.order), labels_of(self.item)
        while found := await asyncio.to_thread(self._next, numbers, labels):
            yield found

    def _next(self, numbers: Iterator[int], labels: Mapping[str, int]) -> list[Record]:
        found: list[Record] = []
        size = 0
        while len(found) < _BATCH_ROWS and size < _BATCH_CHARACTERS and (number := next(numbers, None)) is not None:
            placed = self.pile[number]
            found.append(self._record(placed, labels))
            size += len(placed.row.text) + len(placed.row.annotations)
        return found

    def _record(self, placed: Placed, labels: Mapping[str, int]) -> Record:
        path, number, (text, classes, annotations) = placed
        name = classes[0] if len(classes) == 1 and not self.item.origin.has_objects else None
        return Record(path, name, labels[name] if name is not None else None, text.encode(), annotations, number)


async def row_records(
    files: Files, item: FormattedSet, chosen: Chosen, read: RowReader, pile: Pile[Placed], folder: Path, tell: Tell
) -> RowRecords:
    """Put the rows of a set on `pile`, reading files below `folder`. Raises Problem (`file_corrupt`), Invalid
    (`empty_set`), OSError."""
    reading = _Reading(files, item, chosen, read, pile, folder, tell, Shuffle(item.cut.seed))
    found = batches(entry for entry in chosen.entries if is_sample(item.origin, entry.path))
    while entries := await asyncio.to_thread(next, found, None):
        await reading.whole(entries)
    await reading.parted()
    if not len(pile):
        raise Invalid("empty_set", "No sample of the version falls on that side. Choose another ratio.")
    order = await asyncio.to_thread(reading.shuffle.order)
    return RowRecords(item, pile, {name: reading.counts[name] for name in item.origin.classes}, order)


@dataclass
class _Reading:
    """Reads the rows of files, which are fetched for as long as that takes."""

    files: Files
    item: FormattedSet
    chosen: Chosen
    read: RowReader
    pile: Pile[Placed]
    folder: Path
    tell: Tell
    shuffle: Shuffle
    counts: Counter[str] = field(default_factory=Counter)

    async def whole(self, entries: Sequence[Entry]) -> None:
        """All rows of these."""

        async def works() -> AsyncGenerator[Work, None]:
            for entry in entries:
                yield self._fetch(entry)

        async with aclosing(works()) as all_of_it:
            await side_by_side(all_of_it, len(entries))
        for entry in entries:
            await asyncio.to_thread(self._take, entry, None)

    async def parted(self) -> None:
        """Of the files that are parted the rows of the set's side."""
        for entry in self.chosen.parted:
            await self._fetch(entry)
        sides = await asyncio.to_thread(self._sides)
        for entry in self.chosen.parted:
            await asyncio.to_thread(self._take, entry, sides)

    async def _fetch(self, entry: Entry) -> None:
        await fetch(self.files, self.item.origin.manifest, entry, self.folder / entry.path)

    def _sides(self) -> RowSides | None:
        rule = rule_of(self.item)
        if rule is None:
            return None
        sides = RowSides(rule)
        for entry in self.chosen.parted:
            with (self.folder / entry.path).open("rb") as file:
                sides.learn(self.chosen.rows[entry.path], file)
        return sides

    def _take(self, entry: Entry, sides: RowSides | None) -> None:
        """Put the rows of a fetched file on the pile. Raises Problem (`file_corrupt`)."""
        place = self.folder / entry.path
        try:
            for number, row in self._rows(entry.path, place, sides):
                self.pile.add(Placed(entry.path, number, row))
                self.shuffle.add(f"{entry.path}\0{number}")
                self.counts.update(row.classes)
                self.tell(min(len(self.pile) / self._expected, 1.0))
        except (NotText, ValueError) as error:
            reason = f"{entry.path} is not what was imported. Import the dataset again."
            raise Problem("file_corrupt", reason) from error
        place.unlink()

    @cached_property
    def _expected(self) -> float:
        """About how many rows the set will have: those that are noted, and one in each file."""
        noted = sum(len(rows.starts) for rows in self.chosen.rows.values())
        return len(self.chosen.entries) + noted * self.item.cut.share

    def _rows(self, path: str, place: Path, sides: RowSides | None) -> Iterator[tuple[int, Row]]:
        """The rows of the set, each with its number. Raises ValueError where they are not those that were noted."""
        rows = enumerate(self.read(path, _lines(place)), 1)
        if sides is None:
            yield from rows
            return
        with place.open("rb") as file:
            samples = islice(pieces(file, self.chosen.rows[path]), 1, None)
            for row, sample in zip(rows, samples, strict=True):
                if sides.side(sample) == side_of(self.item):
                    yield row


def _lines(place: Path) -> Iterator[str]:
    """The lines of a text, in that one of the two encodings in which it was imported: all of it decides."""
    reader = Reader(ENCODINGS[0])
    with place.open("rb") as file:
        while chunk := file.read(_CHUNK):
            reader.feed(chunk)
    with place.open("rb") as file:
        yield from lines_of(file, ENCODINGS[0 if reader.ends_well() else 1])
