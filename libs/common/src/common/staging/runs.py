"""In which pieces to read packs: few and large, in the order in which the bytes lie. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.manifests import Entry

LARGEST = 8 << 20
"""Bytes of one piece that holds several files; a larger file is a piece alone, and is streamed."""

GAP = 128 << 10
"""Bytes between two files that are rather read and dropped than skipped by another request."""


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of an object, from `start` up to `end`, and the files in it in the order of offsets."""

    object: int
    start: int
    end: int
    entries: tuple[Entry, ...]

    @property
    def whole(self) -> bool:
        """Whether it is small enough to be read at once."""
        return self.end - self.start <= LARGEST


def plan(entries: Sequence[Entry]) -> Iterator[Run]:
    """The pieces that hold these files, each file in exactly one."""
    group: list[Entry] = []
    start = end = 0
    for entry in sorted(entries, key=lambda e: (e.object, e.offset, e.size)):
        stop = entry.offset + entry.size
        fits = group and entry.object == group[0].object and entry.offset - end <= GAP and stop - start <= LARGEST
        if group and not fits:
            yield Run(group[0].object, start, end, tuple(group))
            group = []
        if not group:
            start = end = entry.offset
        group.append(entry)
        end = max(end, stop)
    if group:
        yield Run(group[0].object, start, end, tuple(group))
