"""Which files are for training and which for testing (row D8). Pure: the same files and seed, the same sides.

Each file has a place on a line from 0 to 1, a hash of the seed and its path, whatever other files there are. Below
`1 - ratio` it is for testing. That alone would leave a small class far from the ratio by chance, so in each class
the boundary is moved just as far as it takes to come within half a file, or 1 % of the class, of the ratio; and a
class of two files or more has at least one on each side. A class of one file is for training.

Files that only describe others, as the dataset's format says, are no samples: an annotation beside its image or text
(the same name but for the suffix) is on the side of that one, and one that stands alone, such as COCO's, is on both.

What follows for stability: adding a file moves at most one other file of its class across, namely the one nearest
to the boundary, and in a class large enough that chance keeps it within its 1 % it moves none.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor

from common.kernel.errors import Invalid
from common.ports.staging import Split

TRAIN, TEST = "train", "test"

_LINE = 1 << 64
_TOLERANCE = Fraction(1, 100)


class Sides:
    """Decides the sides of each file of a set. Takes every path once (`learn`), keeping eight bytes for each."""

    def __init__(self, rule: Split) -> None:
        """Raises Invalid (`bad_ratio`) unless the ratio lies between 0 and 1."""
        check_ratio(rule.ratio)
        self._rule = rule
        self._places: dict[str, array[int]] = {}
        self._suffixes: set[str] = set()
        self._boundaries: dict[str, int] = {}

    def learn(self, path: str) -> None:
        """Take a path of the set in."""
        if not self._describes(path):
            self._places.setdefault(self._class(path), array("Q")).append(self._place(path))
            self._suffixes.add(_suffix(path))
            self._boundaries.clear()

    def of(self, path: str) -> tuple[str, ...]:
        """Where a learned path belongs: `train`, `test`, or both."""
        if not self._describes(path):
            return (self._side(path),)
        beside = (path.removesuffix(_suffix(path)) + other for other in sorted(self._suffixes))
        described = next((other for other in beside if self._is_learned(other)), None)
        return (TRAIN, TEST) if described is None else (self._side(described),)

    def _describes(self, path: str) -> bool:
        return _suffix(path).lower() in self._rule.describing

    def _side(self, path: str) -> str:
        return TEST if self._place(path) < self._boundary(self._class(path)) else TRAIN

    def _is_learned(self, sample: str) -> bool:
        """By its place, which no other path has but by a chance of one to 2^64."""
        name, place = self._class(sample), self._place(sample)
        if name not in self._places:
            return False
        self._boundary(name)
        places = self._places[name]
        at = bisect_left(places, place)
        return at < len(places) and places[at] == place

    def _boundary(self, name: str) -> int:
        """The place below which files of a class are for testing; their places are sorted from then on."""
        if name not in self._boundaries:
            self._places[name] = array("Q", sorted(self._places[name]))
            self._boundaries[name] = _boundary(self._places[name], self._rule.ratio)
        return self._boundaries[name]

    def _class(self, path: str) -> str:
        """What the files are stratified by: the first folder, or nothing."""
        return path.partition("/")[0] if self._rule.stratify == "first_folder" and "/" in path else ""

    def _place(self, path: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self._rule.seed}\0{path}".encode()).digest()[:8], "big")


def split(paths: Iterable[str], rule: Split) -> tuple[list[str], list[str]]:
    """The paths for training and those for testing, each sorted. Raises Invalid (`bad_ratio`)."""
    ordered = sorted(paths)
    sides = Sides(rule)
    for path in ordered:
        sides.learn(path)
    train = [path for path in ordered if TRAIN in sides.of(path)]
    test = [path for path in ordered if TEST in sides.of(path)]
    return train, test


def _suffix(path: str) -> str:
    """`.json` of `a/b.json`, nothing where there is none."""
    name = path.rpartition("/")[2]
    return f".{name.rpartition('.')[2]}" if "." in name else ""


def check_ratio(ratio: float) -> None:
    """Raise Invalid (`bad_ratio`) unless it lies between 0 and 1 (NaN doesn't)."""
    if not 0 < ratio < 1:
        raise Invalid("bad_ratio", f"The training part is a number between 0 and 1, such as 0.9; {ratio} is not.")


def _boundary(ordered: array[int], ratio: float) -> int:
    """The place below which files of a class are for testing."""
    count = len(ordered)
    part = 1 - Fraction(repr(ratio))
    by_chance = sum(place < part * _LINE for place in ordered)
    number = test_count(count, by_chance, part)
    return ordered[number] if number < count else _LINE


def test_count(count: int, by_chance: int, part: Fraction) -> int:
    """How many of `count` files of a class are for testing, where the hash would make it `by_chance`."""
    if count < 2:
        return 0
    slack = max(Fraction(1, 2), count * _TOLERANCE)
    least, most = ceil(count * part - slack), floor(count * part + slack)
    return min(max(by_chance, least, 1), most if most >= 1 else 1, count - 1)
