"""The spread of a figure over many files: exact as long as it has few values, and in bounded memory however many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any

_KEPT = 4_096
"""Different values that are counted one by one, and values that wait to be counted."""
_BITS = 8
"""Leading bits of a value that are kept beyond that: it is then right to 1 in 128."""
_BUCKETS = 10
_WIDE = 32
"""From what ratio of the largest to the smallest on buckets grow with their values."""


class Range:
    """Smallest, largest, mean, median and a histogram of the values added (whole numbers from 0)."""

    def __init__(self) -> None:
        self._least = self._most = self._total = self._count = 0
        self._counts: Counter[int] = Counter()
        self._waiting: list[int] = []

    def add(self, value: int) -> None:
        """Take a value in. Counting is put off until there are many, since it is done for every file."""
        self._waiting.append(value)
        if len(self._waiting) >= _KEPT:
            self._take_in()

    def as_json(self) -> dict[str, Any]:
        """`min`, `max`, `mean`, `median` and `histogram` (buckets `from` one value `to` another, both in it, and how
        many are in each); empty where nothing was added."""
        self._take_in()
        if not self._count:
            return {}
        return {
            "min": self._least,
            "max": self._most,
            "mean": round(self._total / self._count, 2),
            "median": self._median(),
            "histogram": list(self._histogram()),
        }

    def _take_in(self) -> None:
        values, self._waiting = self._waiting, []
        if not values:
            return
        self._least = min(min(values), self._least) if self._count else min(values)
        self._most = max(max(values), self._most)
        self._total += sum(values)
        self._count += len(values)
        self._counts.update(values)
        if len(self._counts) > _KEPT:
            before, self._counts = self._counts, Counter()
            for value, count in before.items():
                self._counts[_round(value)] += count

    def _median(self) -> int:
        """The lower one of the two in the middle."""
        ordered = sorted(self._counts.items())
        middle = (self._count + 1) // 2
        below = accumulate(count for _, count in ordered)
        found = next(value for (value, _), seen in zip(ordered, below, strict=True) if seen >= middle)
        return min(max(found, self._least), self._most)

    def _histogram(self) -> Iterator[dict[str, int]]:
        limits = buckets(self._least, self._most)
        for start, end in pairwise(limits):
            inside = sum(count for value, count in self._counts.items() if start <= max(value, self._least) < end)
            yield {"from": start, "to": end - 1, "count": inside}


def _round(value: int) -> int:
    shift = max(0, value.bit_length() - _BITS)
    return value >> shift << shift


def buckets(least: int, most: int) -> list[int]:
    """Where each bucket begins, and after them where the last one ends: round numbers, about ten buckets of the same
    width, or of widths that grow (1, 2, 5, 10 …) where the values are far apart."""
    if most >= _WIDE * max(least, 1):
        ends = [0, *(digit * 10**power for power in range(len(str(most)) + 1) for digit in (1, 2, 5))]
    else:
        step = next(step for step in _steps() if step * _BUCKETS > most - least)
        first = least // step * step
        ends = [first + step * number for number in range(_BUCKETS + 3)]
    begin = max(number for number, end in enumerate(ends) if end <= least)
    finish = next(number for number, end in enumerate(ends) if end > most)
    return ends[begin : finish + 1]


def _steps() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50 …"""
    power = 1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10
