"""Where the samples of a file begin that holds many, and which of them have a class, so that a page of them is found
among a million without reading what is before it.

A file of: the byte at which each sample begins (64-bit numbers, with the file's end as a last one); the line in which
it begins, or its number in a list; the samples by their classes, in their order within each kind of classes (both as
32-bit numbers); a JSON list of the kinds: their classes, and how many samples are of each; how many samples and bytes
of JSON that is, whether they are a list, and in which of the encodings of texts the file is.
"""

from __future__ import annotations

import asyncio
import mmap
import re
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Iterator, Sequence
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson

from common.kernel.errors import Problem
from common.manifests.searching import Span
from common.staging.samples import Rows
from dataset_svc.formats.decoding import ENCODINGS
from dataset_svc.formats.texts import Reader

KIND = f"rows-2-{sys.byteorder}"
"""Another one where the layout changes."""
_FOOTER = struct.Struct("QQQQ")
_LINE_END = re.compile(b"\n")


async def write_rows(rows: Rows, chunks: AsyncIterator[bytes], size: int, path: Path) -> None:
    """Write to `path` where the samples lie in a file of `size` bytes, all of which decide its encoding. Raises Problem
    (`file_corrupt`), OSError."""
    finder = _Finder(() if rows.listed else rows.starts)
    async for chunk in chunks:
        await asyncio.to_thread(finder.take, chunk)
    begins = array("Q", rows.starts) if rows.listed else finder.begins
    if len(begins) < len(rows.starts):
        raise Problem("file_corrupt", "The file of samples is shorter than when it was imported. Import it again.")
    begins.append(size)
    await asyncio.to_thread(_write, rows, begins, finder.encoding(), path)


class _Finder:
    """Takes a file as it comes; `begins` are the bytes at which these lines (from 1) begin."""

    def __init__(self, lines: Sequence[int]) -> None:
        self.begins = array("Q")
        self._reader = Reader(ENCODINGS[0])
        self._lines = iter(lines)
        self._wanted = next(self._lines, 0)
        self._line = self._position = 0
        self._line_begins(0)

    def take(self, chunk: bytes) -> None:
        """The next bytes."""
        self._reader.feed(chunk)
        for found in _LINE_END.finditer(chunk):
            self._line_begins(self._position + found.end())
        self._position += len(chunk)

    def encoding(self) -> int:
        """Which of the two encodings the file is in, once all of it was taken."""
        return 0 if self._reader.ends_well() else 1

    def _line_begins(self, byte: int) -> None:
        self._line += 1
        if self._line == self._wanted:
            self.begins.append(byte)
            self._wanted = next(self._lines, 0)


def _write(rows: Rows, begins: array[int], encoding: int, path: Path) -> None:
    count = len(rows.starts)
    lines = array("I", range(1, count + 1)) if rows.listed else rows.starts
    ordered = array("I", sorted(range(count), key=rows.kinds.__getitem__))
    sizes = [0] * len(rows.known)
    for kind in rows.kinds:
        sizes[kind] += 1
    known = orjson.dumps([[list(classes), size] for classes, size in zip(rows.known, sizes, strict=True)])
    with path.open("wb") as target:
        for numbers in (begins, lines, ordered):
            numbers.tofile(target)
        target.write(known)
        target.write(_FOOTER.pack(count, len(known), rows.listed, encoding))


class RowIndex:
    """Where the samples of one file lie, mapped into memory; `listed`: as elements of a list; `encoding`: that of the
    file. Close it after use."""

    def __init__(self, file: BinaryIO) -> None:
        with file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._view = memoryview(self._map)
        self.count, length, listed, encoding = _FOOTER.unpack(self._view[-_FOOTER.size :])
        self.listed, self.encoding = bool(listed), ENCODINGS[encoding]
        lines, ordered = 8 * (self.count + 1), 8 * (self.count + 1) + 4 * self.count
        known = ordered + 4 * self.count
        self._begins = self._view[:lines].cast("Q")
        self._lines = self._view[lines:ordered].cast("I")
        self._ordered = self._view[ordered:known].cast("I")
        self._known = orjson.loads(self._view[known : known + length])

    def close(self) -> None:
        """Give the memory back."""
        for view in (self._begins, self._lines, self._ordered, self._view):
            view.release()
        self._map.close()

    def total(self, label: str | None) -> int:
        """How many samples have that class, or there are."""
        return self.count if label is None else sum(end - start for start, end in self._kinds(label))

    def numbers(self, label: str | None, first: int, most: int) -> list[int]:
        """The samples with that class, or any, from `first` (0 is the first of the file) on, `most` at most."""
        if label is None:
            return list(range(first, min(first + most, self.count)))
        return list(islice(merge(*(self._from(first, *kind) for kind in self._kinds(label))), most))

    def span(self, number: int) -> Span:
        """The bytes of a sample, and what is between it and the next."""
        return self._begins[number], self._begins[number + 1]

    def line(self, number: int) -> int:
        """The line in which it begins, or its number in a list; from 1."""
        return self._lines[number]

    def _from(self, first: int, start: int, end: int) -> Iterator[int]:
        return (self._ordered[at] for at in range(bisect_left(self._ordered, first, start, end), end))

    def _kinds(self, label: str) -> list[Span]:
        """Where those samples stand that have the class, of those ordered by kinds."""
        found, start = list[Span](), 0
        for classes, size in self._known:
            if label in classes:
                found.append((start, start + size))
            start += size
        return found
