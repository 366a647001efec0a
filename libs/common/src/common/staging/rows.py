"""Splitting files whose lines are samples (row D8): each sample lies where its own bytes put it, so lines that are
added move no others, and the same sample twice is on one side, wherever it stands."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import BinaryIO

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
        before the first sample. Gives how they lie there."""
        found = pieces(file, rows)
        head = _ended(next(found))
        parts = {side: _Part(out, rows, head) for side, out in sides.items()}
        for number, sample in enumerate(found):
            side = TEST if self._places.is_test(self._place(sample)) else TRAIN
            if side in parts:
                parts[side].add(_ended(sample), rows.kinds[number])
        return {side: part.rows for side, part in parts.items()}

    def _place(self, sample: bytes) -> int:
        """Without its end, which the last one of a file may lack."""
        return place_of(self._rule.seed, sample.rstrip())


class _Part:
    """One side of a file."""

    def __init__(self, out: BinaryIO, whole: Rows, head: bytes) -> None:
        self._out = out
        self._line = head.count(b"\n") + 1
        self.rows = Rows(array("I"), array("I"), whole.known)
        out.write(head)

    def add(self, sample: bytes, kind: int) -> None:
        self._out.write(sample)
        self.rows.starts.append(self._line)
        self.rows.kinds.append(kind)
        self._line += sample.count(b"\n")


def pieces(file: BinaryIO, rows: Rows) -> Iterator[bytes]:
    """What comes before the first sample, which may be nothing, and then each sample with its lines' ends."""
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
