"""Sorting more entries than memory should hold: runs on disk, merged at the end."""

from __future__ import annotations

import heapq
import marshal
from collections.abc import Iterable, Iterator
from pathlib import Path

from common.kernel.errors import Fault, Invalid
from common.manifests.index import ContentDigest, Entry

RUN = 16_384
"""Entries sorted in memory at once, about 7 MB of them."""

_BLOCK = 256


class Spool:
    """Takes entries in any order and writes the body of an index in order. Scratch files lie in `folder`."""

    def __init__(self, folder: Path, *, run: int = RUN) -> None:
        self._folder = folder
        self._run = run
        self._entries: list[Entry] = []
        self._runs: list[Path] = []

    def add(self, entry: Entry) -> None:
        """Take one entry."""
        self._entries.append(entry)
        if len(self._entries) >= self._run:
            self._spill()

    def _spill(self) -> None:
        """Write what is in memory as a sorted run."""
        self._entries.sort()
        path = self._folder / f"run-{len(self._runs)}"
        with path.open("wb") as file:
            for start in range(0, len(self._entries), _BLOCK):
                marshal.dump([tuple(entry) for entry in self._entries[start : start + _BLOCK]], file)
        self._runs.append(path)
        self._entries = []

    def write(self, body: Path) -> ContentDigest:
        """Write all lines sorted to `body` and give their digest and totals.

        Raises Invalid (`duplicate_path`) where a path was given twice, or once as a file and once as a folder.
        """
        self._entries.sort()
        digest = ContentDigest()
        merged = heapq.merge(*(_read(run) for run in self._runs), self._entries)
        with body.open("wb", buffering=1 << 20) as file:
            for entry in _without_clashes(merged):
                digest.add(entry)
                file.write(entry.line())
        for run in self._runs:
            run.unlink()
        self._entries, self._runs = [], []
        return digest


def _read(run: Path) -> Iterator[Entry]:
    """The entries of one run, a block in memory at a time."""
    with run.open("rb") as file:
        while True:
            try:
                block = marshal.load(file)  # noqa: S302  (our own scratch file, written a moment ago)
            except EOFError:
                return
            for row in block:
                yield Entry._make(row)


def _without_clashes(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same sorted entries; raises at the first path that is there twice or is also a folder of another.

    Every path of which the present one could be a continuation is on a stack: sorted order keeps them together.
    """
    above: list[str] = []
    for entry in entries:
        path = entry.path
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
