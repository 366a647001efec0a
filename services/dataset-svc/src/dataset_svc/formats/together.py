"""Which classes occur together in one file: counted exactly as long as there are not too many pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from itertools import combinations
from typing import Any

SHOWN = 50
"""Pairs that are told, the commonest first."""
_OF_A_FILE = 64
"""Classes of one file that are paired, the first by name."""
_KEPT = 20_000
"""Pairs that are counted at once; where there are more, the rarer half is let go and counted anew."""


class Together:
    """Counts pairs of classes."""

    def __init__(self) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()

    def add(self, classes: Collection[str]) -> None:
        """The classes of one file."""
        if len(classes) < 2:
            return
        self._pairs.update(combinations(sorted(classes)[:_OF_A_FILE], 2))
        if len(self._pairs) > _KEPT:
            self._pairs = Counter(dict(self._pairs.most_common(_KEPT // 2)))

    def as_json(self) -> list[dict[str, Any]]:
        """The commonest pairs, and in how many files each is."""
        ordered = sorted(self._pairs.items(), key=lambda pair: (-pair[1], pair[0]))
        return [{"classes": list(pair), "files": files} for pair, files in ordered[:SHOWN]]
