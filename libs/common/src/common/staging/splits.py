"""Which files are for training and which for testing (row D8). Pure: the same files and seed, the same sides.

A file lies where its path puts it (`places`), stratified by its class: what is annotated in it, or else its first
folder.

Files that only describe others, as the dataset's format says, are no samples: an annotation beside its image or text
(the same name but for the suffix) is on the side of that one, and one that stands alone, such as COCO's, is on both.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.ports.staging import Split
from common.staging.places import Places, place_of

TRAIN, TEST = "train", "test"


class Sides:
    """Decides the sides of each file of a set. Takes every path once (`learn`)."""

    def __init__(self, rule: Split) -> None:
        """Raises Invalid (`bad_ratio`) unless the ratio lies between 0 and 1."""
        self._rule = rule
        self._places = Places(rule.ratio)
        self._suffixes: set[str] = set()

    def learn(self, path: str, stratum: str | None = None) -> None:
        """Take a path of the set in, with its class where the first folder doesn't tell it."""
        if not self._describes(path):
            self._places.learn(self._place(path), self._stratum(path, stratum))
            self._suffixes.add(suffix_of(path))

    def of(self, path: str) -> tuple[str, ...]:
        """Where a learned path belongs: `train`, `test`, or both."""
        if not self._describes(path):
            return (self._side(path),)
        beside = (path.removesuffix(suffix_of(path)) + other for other in sorted(self._suffixes))
        described = next((other for other in beside if self._places.knows(self._place(other))), None)
        return (TRAIN, TEST) if described is None else (self._side(described),)

    def _describes(self, path: str) -> bool:
        return suffix_of(path).lower() in self._rule.describing

    def _side(self, path: str) -> str:
        return TEST if self._places.is_test(self._place(path)) else TRAIN

    def _place(self, path: str) -> int:
        return place_of(self._rule.seed, path.encode())

    def _stratum(self, path: str, known: str | None) -> str:
        if self._rule.stratify == "none":
            return ""
        return known if known is not None else path.partition("/")[0] if "/" in path else ""


def split(paths: Iterable[str], rule: Split) -> tuple[list[str], list[str]]:
    """The paths for training and those for testing, each sorted. Raises Invalid (`bad_ratio`)."""
    ordered = sorted(paths)
    sides = Sides(rule)
    for path in ordered:
        sides.learn(path)
    train = [path for path in ordered if TRAIN in sides.of(path)]
    test = [path for path in ordered if TEST in sides.of(path)]
    return train, test


def suffix_of(path: str) -> str:
    """`.json` of `a/b.json`, nothing where there is none: by this files are told apart."""
    name = path.rpartition("/")[2]
    return f".{name.rpartition('.')[2]}" if "." in name else ""
