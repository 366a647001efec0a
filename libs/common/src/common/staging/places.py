"""Where samples lie on a line from 0 to 1, and which of them are for testing (row D8). Pure.

A sample's place is a hash of the seed and of what names it, whatever other samples there are. Below `1 - ratio` it is
for testing. That alone would leave a small class far from the ratio by chance, so in each class the boundary is moved
just as far as it takes to come within half a sample, or 1 % of the class, of the ratio; and a class of two samples or
more has at least one on each side. A class of one sample is for training. Equal samples lie in one place, and count for
as many as they are: where the boundary would part them it moves to that end of them which is nearer to the ratio.

What follows for stability: adding a sample moves at most one other of its class across, namely the one nearest to the
boundary, and in a class large enough that chance keeps it within its 1 % it moves none.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from fractions import Fraction
from math import ceil, floor

from common.kernel.errors import Invalid

_LINE = 1 << 64
_TOLERANCE = Fraction(1, 100)


class Places:
    """The places of all samples by class, eight bytes each, and once they are known the side of each."""

    def __init__(self, ratio: float) -> None:
        """`ratio` is the part for training. Raises Invalid (`bad_ratio`) unless it lies between 0 and 1."""
        check_ratio(ratio)
        self._ratio = ratio
        self._classes: dict[str, array[int]] = {}
        self._sides: tuple[array[int], array[int]] | None = None

    def learn(self, place: int, stratum: str) -> None:
        """Take a sample of that class in."""
        self._classes.setdefault(stratum, array("Q")).append(place)
        self._sides = None

    def is_test(self, place: int) -> bool:
        """Whether the sample there, which was learned, is for testing."""
        return _has(self._settled()[1], place)

    def knows(self, place: int) -> bool:
        """Whether a sample was learned there; by chance one is taken for another once in 2^64 times."""
        return any(_has(side, place) for side in self._settled())

    def _settled(self) -> tuple[array[int], array[int]]:
        """The places for training and those for testing, each in order."""
        if self._sides is None:
            train, test = array("Q"), array("Q")
            for places in self._classes.values():
                ordered = array("Q", sorted(places))
                cut = _cut(ordered, 1 - Fraction(repr(self._ratio)))
                test.extend(ordered[:cut])
                train.extend(ordered[cut:])
            self._sides = array("Q", sorted(train)), array("Q", sorted(test))
        return self._sides


def place_of(seed: int, name: bytes) -> int:
    """Where what is so named lies, from 0 up to 2^64."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0".encode() + name).digest()[:8], "big")


def check_ratio(ratio: float) -> None:
    """Raise Invalid (`bad_ratio`) unless it lies between 0 and 1 (NaN doesn't)."""
    if not 0 < ratio < 1:
        raise Invalid("bad_ratio", f"The training part is a number between 0 and 1, such as 0.9; {ratio} is not.")


def test_count(count: int, by_chance: int, part: Fraction) -> int:
    """How many of `count` samples of a class are for testing, where the hash would make it `by_chance`."""
    if count < 2:
        return 0
    slack = max(Fraction(1, 2), count * _TOLERANCE)
    least, most = ceil(count * part - slack), floor(count * part + slack)
    return min(max(by_chance, least, 1), most if most >= 1 else 1, count - 1)


def _cut(ordered: array[int], part: Fraction) -> int:
    """How many samples of a class, by their places in order, are for testing."""
    count = len(ordered)
    number = test_count(count, bisect_left(ordered, min(ceil(part * _LINE), _LINE - 1)), part)
    if number == 0 or ordered[number - 1] != ordered[number]:
        return number
    ends = bisect_left(ordered, ordered[number]), bisect_right(ordered, ordered[number])
    return min((end for end in ends if 0 < end < count), key=lambda end: abs(end - count * part), default=0)


def _has(ordered: array[int], place: int) -> bool:
    at = bisect_left(ordered, place)
    return at < len(ordered) and ordered[at] == place
