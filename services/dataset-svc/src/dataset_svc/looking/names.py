"""The names of a long list's files, folded for comparison and one after the other, so that a part of a name is found
among a million by one look over some twenty megabytes.

A file of: the names, a line each, in the order of the list; where in the list's index each entry begins; where here
each name begins (both as 64-bit numbers, with their ends as a last one); how many numbers and bytes of names those are.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import sys
import unicodedata
from array import array
from bisect import bisect_left, bisect_right
from pathlib import Path
from typing import BinaryIO

import orjson

from common.contracts.shared import ManifestRef
from common.manifests.index import corrupt
from common.manifests.searching import Span
from common.ports.files import Files

KIND = f"names-1-{sys.byteorder}"
"""Another one where the layout changes."""
_FOOTER = struct.Struct("QQ")
_BEFORE, _AFTER = len(b'{"p":"'), b'","s":'
_AT_ONCE = 32_768
"""Names looked through before others get their turn."""


def fold(name: str) -> str:
    """A name as it is compared: without regard to case, one line."""
    return unicodedata.normalize("NFC", name).casefold().replace("\n", " ")


async def write_names(files: Files, ref: ManifestRef, path: Path) -> None:
    """Write the names of a stored list to `path`, in memory that has sixteen bytes a file. Raises NotFound
    (`file_not_found`), Problem (`manifest_corrupt`), OSError."""
    with path.open("wb") as target:
        writer = _Writer(target)
        async for chunk in files.get(ref.address):
            await asyncio.to_thread(writer.take, chunk)
        await asyncio.to_thread(writer.finish)


class _Writer:
    """Takes an index as it comes."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._rest = b""
        self._at, self._starts = array("Q"), array("Q")
        self._position = self._bytes = 0
        self._begun = False

    def take(self, chunk: bytes) -> None:
        """The next bytes of the index."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if not self._begun and lines:
            self._begun = True
            self._position = len(lines.pop(0)) + 1
        if not lines:
            return
        for line in lines:
            self._at.append(self._position)
            self._position += len(line) + 1
        for name in _folded(lines):
            self._starts.append(self._bytes)
            self._bytes += len(name) + 1
            self._target.write(name + b"\n")

    def finish(self) -> None:
        """The index has ended."""
        if self._rest or not self._begun:
            raise corrupt("its last line does not end")
        self._at.append(self._position)
        self._starts.append(self._bytes)
        self._target.write(b"\0" * (-self._bytes % 8))
        self._at.tofile(self._target)
        self._starts.tofile(self._target)
        self._target.write(_FOOTER.pack(len(self._at), self._bytes))


def _folded(lines: list[bytes]) -> list[bytes]:
    """The names in lines of an index."""
    try:
        names = [line[_BEFORE : line.rindex(_AFTER)].rpartition(b"/")[2] for line in lines]
        names = [orjson.loads(b'"' + name + b'"').encode() if b"\\" in name else name for name in names]
    except ValueError as error:
        raise corrupt(f"a line of the index can't be read ({error})") from error
    text = b"\n".join(name.replace(b"\n", b" ") for name in names).decode()
    return (text if text.isascii() and text.islower() else text.casefold()).encode().split(b"\n")


class Names:
    """The names of one list, mapped into memory. Close it after use."""

    def __init__(self, file: BinaryIO) -> None:
        with file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._view = memoryview(self._map)
        numbers, length = _FOOTER.unpack(self._view[-_FOOTER.size :])
        begin = length + -length % 8
        self._at = self._view[begin : begin + 8 * numbers].cast("Q")
        self._starts = self._view[begin + 8 * numbers : begin + 16 * numbers].cast("Q")

    @property
    def end(self) -> int:
        """Where the list's index ends, in bytes."""
        return int(self._at[len(self._at) - 1])

    def close(self) -> None:
        """Give the memory back."""
        for view in (self._at, self._starts, self._view):
            view.release()
        self._map.close()

    def search(self, part: str, low: int, high: int, limit: int) -> list[Span]:
        """Where in the index the first entries stand whose names have that part, of those that begin from `low` up to
        `high` (bytes of the index), `limit` at most."""
        needle, found = fold(part).encode(), list[Span]()
        line, last = bisect_left(self._at, low), min(bisect_left(self._at, high), len(self._at) - 1)
        while line < last and len(found) < limit:
            ahead = min(line + _AT_ONCE, last)
            for hit in self._hits(needle, line, ahead, limit - len(found)):
                found.append((self._at[hit], self._at[hit + 1]))
            line = ahead
        return found

    def _hits(self, needle: bytes, first: int, last: int, limit: int) -> list[int]:
        """The lines from `first` up to `last` that have the needle."""
        begin = self._starts[first]
        block = bytes(self._view[begin : self._starts[last]])
        hits: list[int] = []
        place = block.find(needle)
        while place >= 0 and len(hits) < limit:
            line = bisect_right(self._starts, begin + place, first, last) - 1
            hits.append(line)
            place = block.find(needle, self._starts[line + 1] - begin)
        return hits
