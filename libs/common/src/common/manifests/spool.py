"""Sorting more entries than memory should hold: runs on disk, merged at the end.

All runs are in one file, since a process that reads what strangers packed may have only some files open.
"""

from __future__ import annotations

import heapq
import marshal
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from common.kernel.errors import Fault, Invalid
from common.manifests.index import ContentDigest, Entry

RUN = 16_384
"""Entries sorted in memory at once, about 7 MB of them."""

_BLOCK = 256
_LINES = 1024

_Row = tuple[str, int, str, int, int]
_Places = list[tuple[int, int]]


class Spool:
    """Takes entries in any order and writes the body of an index in order. A scratch file lies in `folder`."""

    def __init__(self, folder: Path, *, run: int = RUN) -> None:
        self._scratch = folder / "run-0"
        self._run = run
        self._entries: list[Entry] = []
        self._runs: list[_Places] = []

    def add(self, entry: Entry) -> None:
        """Take one entry."""
        self._entries.append(entry)
        if len(self._entries) >= self._run:
            self._spill()

    def _spill(self) -> None:
        """Append what is in memory to the scratch file as a sorted run; of each block is known where it lies."""
        self._entries.sort()
        places: _Places = []
        with self._scratch.open("ab" if self._runs else "wb") as file:
            at = file.tell()
            for start in range(0, len(self._entries), _BLOCK):
                block = marshal.dumps([tuple(entry) for entry in self._entries[start : start + _BLOCK]])
                file.write(block)
                places.append((at, len(block)))
                at += len(block)
        self._runs.append(places)
        self._entries = []

    def write(self, body: Path) -> ContentDigest:
        """Write all lines sorted to `body` and give their digest and totals.

        Raises Invalid (`duplicate_path`) where a path was given twice, or once as a file and once as a folder.
        """
        self._entries.sort()
        if not self._runs:
            return _write(body, self._entries)
        descriptor = os.open(self._scratch, os.O_RDONLY | os.O_CLOEXEC)
        try:
            digest = _write(body, heapq.merge(*(_read(descriptor, run) for run in self._runs), self._entries))
        finally:
            os.close(descriptor)
        self._scratch.unlink()
        self._entries, self._runs = [], []
        return digest


def _write(body: Path, entries: Iterable[_Row]) -> ContentDigest:
    digest = ContentDigest()
    with body.open("wb", buffering=1 << 20) as file:
        checked = map(Entry._make, _without_clashes(entries))
        while block := list(islice(checked, _LINES)):
            digest.add(block)
            file.write(b"".join([entry.line() for entry in block]))
    return digest


def _read(descriptor: int, run: _Places) -> Iterator[_Row]:
    """The entries of one run, a block in memory at a time."""
    for at, length in run:
        yield from marshal.loads(os.pread(descriptor, length, at))  # noqa: S302  (our own scratch file)


def _without_clashes(entries: Iterable[_Row]) -> Iterator[_Row]:
    """The same sorted entries; raises at the first path that is there twice or is also a folder of another.

    Every path of which the present one could be a continuation is on a stack: sorted order keeps them together.
    """
    above: list[str] = []
    for entry in entries:
        path = entry[0]
        while above and not path.startswith(above[-1]):
            above.pop()
        for earlier in above:
            if len(path) == len(earlier):
                raise _clash(path, "it is there twice; keep one of them")
            if path[len(earlier)] == "/":
                raise _clash(earlier, f"it is a file and also the folder of {path!r}; rename one of them")
        above.append(path)
        yield entry


def _clash(path: str, reason: str) -> Invalid:
    return Invalid("duplicate_path", f"{path!r} can't be stored: {reason}.", faults=[Fault(path, reason)])
