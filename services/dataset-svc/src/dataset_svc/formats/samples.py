"""Noting, while a file is read, where its samples begin and which classes they have."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection

from common.staging.samples import Rows


class Samples:
    """The samples of one file, in the order in which they lie; eight bytes each."""

    def __init__(self) -> None:
        self._starts, self._kinds = array("Q"), array("I")
        self._known: dict[frozenset[str], int] = {}
        self._count: Counter[str] = Counter()

    def add(self, line: int, classes: Collection[str]) -> None:
        """The next one begins in that line (from 1)."""
        kind = self._known.setdefault(frozenset(classes), len(self._known))
        self._starts.append(line)
        self._kinds.append(kind)
        self._count.update(classes)

    def noted(self) -> Rows:
        """All of them."""
        return Rows(self._starts, self._kinds, [rarest_first(classes, self._count) for classes in self._known])


def rarest_first(classes: Collection[str], count: Counter[str]) -> list[str]:
    """These classes, that of the fewest samples first: stratified by it, it is on both sides where that can be."""
    return sorted(classes, key=lambda name: (count[name], name))
