"""Pages of the samples of a file that holds many: the rows of a table, texts in JSON, or tokens with tags (row D5)."""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import StringIO
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import Problem
from common.manifests import Entry
from common.manifests.searching import Span, read_spans
from common.ports.files import Files
from common.staging.samples import rows_at, rows_entry
from dataset_svc.formats import Row
from dataset_svc.formats.decoding import NotText
from dataset_svc.formats.marked import SHOWN_CHARACTERS, Marked, shown
from dataset_svc.formats.port import RowReader
from dataset_svc.looking.cache import NodeCache
from dataset_svc.looking.rows import KIND, RowIndex, write_rows

_MOST_BYTES = 4 << 20
"""Bytes of samples after which a page ends, whatever was asked for: as they lie in the file, and as they are shown."""
_NEAR = 1 << 15
"""Bytes between two samples up to which they are read at once."""


@dataclass(frozen=True)
class RowPage:
    """Some samples of a file as JSON, how many there are like them, and the next one, if any (0 is the first)."""

    rows: Sequence[dict[str, Any]]
    total: int
    following: int | None


@dataclass(frozen=True)
class _Chosen:
    """Samples of a page: the number and line of each, with the number of the next one behind them, and the bytes to
    read, which may be those of another before them too."""

    numbers: Sequence[int]
    lines: Sequence[int]
    spans: Sequence[Span]
    listed: bool
    encoding: str
    total: int


@dataclass(frozen=True)
class RowFile:
    """A file of the list `files` whose samples are noted in the list `noted`."""

    store: Files
    cache: NodeCache
    files: ManifestRef
    noted: ManifestRef
    entry: Entry
    reader: RowReader

    async def page(self, label: str | None, first: int, most: int) -> RowPage:
        """The samples with that class, or any, from `first` on. Raises Problem (`file_corrupt`)."""
        opened = await self.cache.open(self._key(), self._make)
        chosen = await asyncio.to_thread(_chosen, opened, label, first, most)
        if not chosen.lines:
            return RowPage((), chosen.total, None)
        blocks = await self._read(chosen.spans)
        rows = await asyncio.to_thread(self._shown, blocks, chosen)
        behind = chosen.numbers[len(rows) :]
        return RowPage(rows, chosen.total, behind[0] if behind else None)

    def _key(self) -> str:
        named = f"{self.files.address}\n{self.files.digest}\n{self.noted.digest}\n{self.entry.path}"
        return f"{hashlib.sha256(named.encode()).hexdigest()}.{KIND}"

    async def _make(self, path: Path) -> None:
        noted = await manifests.find(self.store, self.noted, rows_entry(self.entry.path))
        rows = await rows_at(self.store, self.noted, noted)
        chunks = manifests.open_entry(self.store, self.files, self.entry)
        with self._imported():
            await write_rows(rows, chunks, self.entry.size, partial(self.reader, self.entry.path), path)

    @contextmanager
    def _imported(self) -> Iterator[None]:
        """Whoever finds something else in it tells that. Raises Problem (`file_corrupt`)."""
        try:
            yield
        except (NotText, ValueError) as error:
            reason = f"{self.entry.path} is not what was imported. Import the dataset again."
            raise Problem("file_corrupt", reason) from error

    async def _read(self, spans: Sequence[Span]) -> list[bytes]:
        """The bytes of each span; those near to one another come at once."""
        head = await manifests.header(self.store, self.files)
        joined, begin = _joined(spans), self.entry.offset
        there = [(begin + start, begin + end) for start, end in joined]
        blocks = await read_spans(self.store, head.objects[self.entry.object], there)
        starts = [start for start, _ in joined]
        found = []
        for start, end in spans:
            at = bisect_right(starts, start) - 1
            found.append(blocks[at][start - starts[at] : end - starts[at]])
        return found

    def _shown(self, blocks: Sequence[bytes], chosen: _Chosen) -> list[dict[str, Any]]:
        """The first samples as they are shown, up to as many bytes as a page may have. Raises Problem
        (`file_corrupt`)."""
        found, size = list[dict[str, Any]](), 0
        with self._imported():
            rows = islice(self._parsed(blocks, chosen), len(blocks) - len(chosen.lines), None)
            for line, row in zip(chosen.lines, rows, strict=True):
                found.append(_shown(line, row))
                size += len(orjson.dumps(found[-1]))
                if size > _MOST_BYTES:
                    break
        return found

    def _parsed(self, blocks: Sequence[bytes], chosen: _Chosen) -> Iterator[Row]:
        if chosen.listed:
            elements = b",".join(block[: block.rindex(b"}") + 1] for block in blocks)
            blocks = [b"[", elements, b"]"]
        text = b"".join(blocks).decode(chosen.encoding)
        return self.reader(self.entry.path, StringIO(text.removeprefix("\ufeff"), newline="\n"))


def _chosen(opened: BinaryIO, label: str | None, first: int, most: int) -> _Chosen:
    """What a page is to have. Where samples are lines the first of the file is read in any case, with what is before
    it: it may say what the columns are."""
    index = RowIndex(opened)
    try:
        numbers = index.numbers(label, first, most + 1)
        spans = _upto([index.span(number) for number in numbers[:most]])
        lines = [index.line(number) for number in numbers[: len(spans)]]
        if spans and not index.listed:
            spans = [(0, index.span(0)[1]), *(spans if numbers[0] else spans[1:])]
        return _Chosen(numbers, lines, spans, index.listed, index.encoding, index.total(label))
    finally:
        index.close()


def _upto(spans: Sequence[Span]) -> list[Span]:
    """The first of these, up to as many bytes as a page may have, but one at least."""
    ends = accumulate(end - start for start, end in spans)
    return [
        span for number, (span, end) in enumerate(zip(spans, ends, strict=True)) if not number or end <= _MOST_BYTES
    ]


def _joined(spans: Sequence[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= _NEAR:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def _shown(line: int, row: Row) -> dict[str, Any]:
    """A sample as it is shown."""
    if not row.annotations:
        return {"line": line, "text": row.text.strip()[:SHOWN_CHARACTERS], "class": row.classes[0]}
    found = orjson.loads(row.annotations)
    return shown(line, Marked(row.text, found["entities"], found["relations"]))
