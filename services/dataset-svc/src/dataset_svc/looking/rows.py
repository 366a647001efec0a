"""Where the samples of a file begin that holds many, and which of them have a class, so that a page of them is found
among a million without reading what is before it.

A file of: the byte at which each sample begins (64-bit numbers, with the file's end as a last one); the line in which
it begins, or its number in a list; the samples of each class, in their order (both as 32-bit numbers); a JSON list of
the classes and how many samples each has; how many samples and bytes of JSON that is, whether they are a list, and in
which of the encodings of texts the file is.
"""

from __future__ import annotations

import asyncio
import mmap
import re
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, BinaryIO

import orjson

from common.kernel.errors import Problem
from common.manifests.searching import Span
from common.staging.samples import Rows
from dataset_svc.formats import Row
from dataset_svc.formats.decoding import ENCODINGS
from dataset_svc.formats.rereading import lines_of
from dataset_svc.formats.samples import MOST_KINDS
from dataset_svc.formats.texts import Reader

KIND = f"rows-3-{sys.byteorder}"
"""Another one where the layout changes."""
_FOOTER = struct.Struct("QQQQ")
_LINE_END = re.compile(b"\n")


Read = Callable[[Iterator[str]], Iterator[Row]]
"""Reads the samples out of the lines of the file."""


async def write_rows(rows: Rows, chunks: AsyncIterator[bytes], size: int, read: Read, path: Path) -> None:
    """Write to `path` where the samples lie in a file of `size` bytes, all of which decide its encoding. Where not all
    of their classes were noted they are `read` once more. Raises Problem (`file_corrupt`), NotText or ValueError where
    it is not that file, OSError."""
    with TemporaryFile(dir=path.parent) if len(rows.known) >= MOST_KINDS else nullcontext() as copy:
        finder = _Finder(() if rows.listed else rows.starts, copy)
        async for chunk in chunks:
            await asyncio.to_thread(finder.take, chunk)
        begins = array("Q", rows.starts) if rows.listed else finder.begins
        if len(begins) < len(rows.starts):
            raise Problem("file_corrupt", "The file of samples is shorter than when it was imported. Import it again.")
        begins.append(size)
        await asyncio.to_thread(_write, rows, begins, finder.encoding(), finder.classes(rows, read), path)


class _Finder:
    """Takes a file as it comes, and writes it to `copy` where there is one; `begins` are the bytes at which these lines
    (from 1) begin."""

    def __init__(self, lines: Sequence[int], copy: IO[bytes] | None) -> None:
        self.begins, self._copy = array("Q"), copy
        self._reader = Reader(ENCODINGS[0])
        self._lines = iter(lines)
        self._wanted = next(self._lines, 0)
        self._line = self._position = 0
        self._line_begins(0)

    def take(self, chunk: bytes) -> None:
        """The next bytes."""
        self._reader.feed(chunk)
        if self._copy is not None:
            self._copy.write(chunk)
        for found in _LINE_END.finditer(chunk):
            self._line_begins(self._position + found.end())
        self._position += len(chunk)

    def encoding(self) -> int:
        """Which of the two encodings the file is in, once all of it was taken."""
        return 0 if self._reader.ends_well() else 1

    def classes(self, rows: Rows, read: Read) -> Iterator[Collection[str]]:
        """Those of each sample, in their order."""
        if self._copy is None:
            return (rows.known[kind] for kind in rows.kinds)
        self._copy.seek(0)
        return (row.classes for row in read(lines_of(self._copy, ENCODINGS[self.encoding()])))

    def _line_begins(self, byte: int) -> None:
        self._line += 1
        if self._line == self._wanted:
            self.begins.append(byte)
            self._wanted = next(self._lines, 0)


def _write(rows: Rows, begins: array[int], encoding: int, classes: Iterable[Collection[str]], path: Path) -> None:
    """Raises ValueError where there are not as many `classes` as samples."""
    count = len(rows.starts)
    lines = array("I", range(1, count + 1)) if rows.listed else rows.starts
    of_class: dict[str, array[int]] = {}
    for number, names in zip(range(count), classes, strict=True):
        for name in names:
            of_class.setdefault(name, array("I")).append(number)
    known = orjson.dumps([[name, len(numbers)] for name, numbers in of_class.items()])
    with path.open("wb") as target:
        for numbers in (begins, lines, *of_class.values()):
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
        count, length, listed, encoding = _FOOTER.unpack(self._view[-_FOOTER.size :])
        self.count = int(count)
        self.listed, self.encoding = bool(listed), ENCODINGS[encoding]
        lines, classes = 8 * (self.count + 1), 8 * (self.count + 1) + 4 * self.count
        known = len(self._view) - _FOOTER.size - length
        self._begins = self._view[:lines].cast("Q")
        self._lines = self._view[lines:classes].cast("I")
        self._of_class = self._view[classes:known].cast("I")
        self._known: list[tuple[str, int]] = orjson.loads(self._view[known : known + length])

    def close(self) -> None:
        """Give the memory back."""
        for view in (self._begins, self._lines, self._of_class, self._view):
            view.release()
        self._map.close()

    def total(self, label: str | None) -> int:
        """How many samples have that class, or there are."""
        if label is None:
            return self.count
        start, end = self._span_of(label)
        return end - start

    def numbers(self, label: str | None, first: int, most: int) -> list[int]:
        """The samples with that class, or any, from `first` (0 is the first of the file) on, `most` at most."""
        if label is None:
            return list(range(first, min(first + most, self.count)))
        start, end = self._span_of(label)
        at = bisect_left(self._of_class, first, start, end)
        return list(self._of_class[at : min(at + most, end)])

    def span(self, number: int) -> Span:
        """The bytes of a sample, and what is between it and the next."""
        return self._begins[number], self._begins[number + 1]

    def line(self, number: int) -> int:
        """The line in which it begins, or its number in a list; from 1."""
        return self._lines[number]

    def _span_of(self, label: str) -> Span:
        """Where the numbers of the samples stand that have the class, among those of all classes."""
        start = 0
        for name, size in self._known:
            if name == label:
                return start, start + size
            start += size
        return start, start
