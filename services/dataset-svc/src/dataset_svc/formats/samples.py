"""Noting, while a file is read, where its samples begin and which classes they have."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection

from common.staging.samples import Rows

MOST_KINDS = 10_000
"""Sets of classes that are told apart; of those that come later only the rarest class so far is kept."""


class Samples:
    """The samples of one file, in the order in which they lie; eight bytes each. `listed` are the elements of a list
    in JSON, which begin at bytes (from 0) and not in lines."""

    def __init__(self, *, listed: bool = False) -> None:
        self._listed = listed
        self._starts, self._kinds = array("I"), array("I")
        self._known: dict[frozenset[str], int] = {}
        self._count: Counter[str] = Counter()

    def add(self, begins: int, classes: Collection[str]) -> None:
        """The next one begins in that line (from 1), or at that byte."""
        self._count.update(classes)
        self._starts.append(begins)
        self._kinds.append(self._kind(frozenset(classes)))

    def _kind(self, classes: frozenset[str]) -> int:
        if classes not in self._known and len(self._known) >= MOST_KINDS and len(classes) > 1:
            classes = frozenset(rarest_first(classes, self._count)[:1])
        return self._known.setdefault(classes, len(self._known))

    def noted(self) -> Rows:
        """All of them."""
        known = [rarest_first(classes, self._count) for classes in self._known]
        return Rows(self._starts, self._kinds, known, self._listed)


def rarest_first(classes: Collection[str], count: Counter[str]) -> list[str]:
    """These classes, that of the fewest samples first: stratified by it, it is on both sides where that can be."""
    return sorted(classes, key=lambda name: (count[name], name))
