"""Splitting a file whose lines are samples (row D8): each sample lies where its own bytes put it, so lines that are
added move no others, and the same sample twice is on one side."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import BinaryIO

from common.ports.staging import Split
from common.staging.places import Places, place_of
from common.staging.samples import Rows
from common.staging.splits import TEST, TRAIN

_MARK = b"\xef\xbb\xbf"
"""UTF-8's mark of byte order, which belongs to a file and not to its first sample."""


def cut(rule: Split, rows: Rows, source: Callable[[], BinaryIO], sides: Mapping[str, BinaryIO]) -> dict[str, Rows]:
    """Write the samples of a file, which `source` opens, to the sides that are wanted (`train`, `test`), each after
    what comes before the first sample. Gives how they lie there. Blocking; memory holds some bytes for each sample."""
    with source() as file:
        places = _learned(rule, rows, islice(pieces(file, rows), 1, None))
    parts = {side: Rows(array("Q"), array("I"), rows.known) for side in sides}
    with source() as file:
        found = pieces(file, rows)
        head = _ended(next(found))
        for out in sides.values():
            out.write(head)
        lines = dict.fromkeys(sides, head.count(b"\n") + 1)
        for number, sample in enumerate(found):
            side = TEST if places.is_test(_place(rule, sample)) else TRAIN
            if side in sides:
                sides[side].write(_ended(sample))
                parts[side].starts.append(lines[side])
                parts[side].kinds.append(rows.kinds[number])
                lines[side] += _ended(sample).count(b"\n")
    return parts


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


def _learned(rule: Split, rows: Rows, samples: Iterator[bytes]) -> Places:
    places = Places(rule.ratio)
    for number, sample in enumerate(samples):
        classes = rows.classes(number) if rule.stratify != "none" else ()
        places.learn(_place(rule, sample), classes[0] if classes else "")
    return places


def _place(rule: Split, sample: bytes) -> int:
    """Without its end, which the last one of a file may lack."""
    return place_of(rule.seed, sample.rstrip())


def _ended(piece: bytes) -> bytes:
    return piece if not piece or piece.endswith(b"\n") else piece + b"\n"
