"""Splitting files whose lines, or the elements of whose JSON list, are samples (row D8): each sample lies where its own
bytes put it, so lines that are added move no others, and the same sample twice is on one side, wherever it stands."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import BinaryIO, Protocol

from common.ports.staging import Split
from common.staging.places import Places, place_of
from common.staging.samples import Rows
from common.staging.splits import TEST, TRAIN

_MARK = b"\xef\xbb\xbf"
"""UTF-8's mark of byte order, which belongs to a file and not to its first sample."""


class RowSides:
    """Decides the side of each sample of a version's files. Takes every file once (`learn`), keeping some bytes for
    each sample. Blocking."""

    def __init__(self, rule: Split) -> None:
        """Raises Invalid (`bad_ratio`) unless the ratio lies between 0 and 1."""
        self._rule = rule
        self._places = Places(rule.ratio)

    def learn(self, rows: Rows, file: BinaryIO) -> None:
        """Take the samples of a file in."""
        for number, sample in enumerate(islice(pieces(file, rows), 1, None)):
            classes = rows.classes(number) if self._rule.stratify != "none" else ()
            self._places.learn(self._place(sample), classes[0] if classes else "")

    def cut(self, rows: Rows, file: BinaryIO, sides: Mapping[str, BinaryIO]) -> dict[str, Rows]:
        """Write the samples of a learned file to the sides that are wanted (`train`, `test`), each after what comes
        before the first sample, or as a JSON list. Gives how they lie there."""
        found = pieces(file, rows)
        head = next(found)
        parts = {side: _part(out, rows, head) for side, out in sides.items()}
        for number, sample in enumerate(found):
            if (side := self.side(sample)) in parts:
                parts[side].add(sample, rows.kinds[number])
        for part in parts.values():
            part.end()
        return {side: part.rows for side, part in parts.items()}

    def side(self, sample: bytes) -> str:
        """Where a learned sample belongs: `train` or `test`."""
        return TEST if self._places.is_test(self._place(sample)) else TRAIN

    def _place(self, sample: bytes) -> int:
        """Without its end, which the last one of a file may lack."""
        return place_of(self._rule.seed, sample.rstrip())


class _Part(Protocol):
    """One side of a file. `rows` is how the samples lie in it."""

    rows: Rows

    def add(self, sample: bytes, kind: int) -> None:
        """Write the next sample."""

    def end(self) -> None:
        """Write what comes behind the last one."""


def _part(out: BinaryIO, whole: Rows, head: bytes) -> _Part:
    return _ListPart(out, whole) if whole.listed else _LinePart(out, whole, head)


class _LinePart:
    """See _Part: lines, behind what was before the first one."""

    def __init__(self, out: BinaryIO, whole: Rows, head: bytes) -> None:
        self._out = out
        self._line = head.count(b"\n") + 1
        self.rows = Rows(array("I"), array("I"), whole.known)
        out.write(_ended(head))

    def add(self, sample: bytes, kind: int) -> None:
        """See _Part."""
        sample = _ended(sample)
        self._out.write(sample)
        self.rows.starts.append(self._line)
        self.rows.kinds.append(kind)
        self._line += sample.count(b"\n")

    def end(self) -> None:
        """See _Part. The last line has its end."""


class _ListPart:
    """See _Part: a JSON list again, an element a line."""

    def __init__(self, out: BinaryIO, whole: Rows) -> None:
        self._out, self._at = out, 0
        self.rows = Rows(array("I"), array("I"), whole.known, listed=True)

    def add(self, sample: bytes, kind: int) -> None:
        """See _Part."""
        self._at += self._out.write(b",\n" if self.rows.starts else b"[\n")
        self.rows.starts.append(self._at)
        self.rows.kinds.append(kind)
        self._at += self._out.write(sample)

    def end(self) -> None:
        """See _Part."""
        self._out.write(b"\n]\n" if self.rows.starts else b"[]\n")


def pieces(file: BinaryIO, rows: Rows) -> Iterator[bytes]:
    """What comes before the first sample, which may be nothing, and then each sample: lines with their ends, or an
    element of a list."""
    return _elements(file.read(), rows.starts) if rows.listed else _lines(file, rows)


def _elements(content: bytes, starts: Sequence[int]) -> Iterator[bytes]:
    """The elements are objects: behind the brace that ends one comes nothing but what parts it from the next. They are
    read at once, as they were when the file was imported."""
    yield content[: starts[0] if starts else None]
    for start, end in pairwise((*starts, len(content))):
        yield content[start : content.rindex(b"}", start, end) + 1]


def _lines(file: BinaryIO, rows: Rows) -> Iterator[bytes]:
    starts = iter(rows.starts)
    first = start = next(starts, None)
    piece: list[bytes] = []
    for number, line in enumerate(file, 1):
        if number == start:
            yield b"".join(piece)
            piece, start = [], next(starts, None)
        piece.append(line.removeprefix(_MARK) if number == first == 1 else line)
    yield b"".join(piece)


def _ended(piece: bytes) -> bytes:
    return piece if not piece or piece.endswith(b"\n") else piece + b"\n"
