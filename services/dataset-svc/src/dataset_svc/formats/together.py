"""Which classes occur together, and other combinations: counted exactly as long as there are not too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from itertools import combinations
from typing import Any, Generic, TypeVar

SHOWN = 50
"""Combinations that are told, the commonest first."""
_OF_A_FILE = 64
"""Classes of one file that are paired, the first by name."""
_KEPT = 20_000
"""Combinations that are counted at once; where there are more, the rarer half is let go and counted anew."""

T = TypeVar("T", bound=tuple[str, ...])


class Commonest(Generic[T]):
    """Counts combinations."""

    def __init__(self) -> None:
        self._counts: Counter[T] = Counter()

    def add(self, found: Iterable[T]) -> None:
        """Those of one file."""
        self._counts.update(found)
        if len(self._counts) > _KEPT:
            self._counts = Counter(dict(self._counts.most_common(_KEPT // 2)))

    def shown(self) -> list[tuple[T, int]]:
        """The commonest, and how often each is there."""
        return sorted(self._counts.items(), key=lambda found: (-found[1], found[0]))[:SHOWN]


class Together:
    """Counts pairs of classes."""

    def __init__(self) -> None:
        self._pairs: Commonest[tuple[str, str]] = Commonest()

    def add(self, classes: Collection[str]) -> None:
        """The classes of one file."""
        if len(classes) > 1:
            self._pairs.add(combinations(sorted(classes)[:_OF_A_FILE], 2))

    def as_json(self) -> list[dict[str, Any]]:
        """The commonest pairs, and in how many files each is."""
        return [{"classes": list(pair), "files": files} for pair, files in self._pairs.shown()]
