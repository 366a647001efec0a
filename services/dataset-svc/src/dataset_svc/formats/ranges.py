"""The spread of a figure over many files: exact as long as it has few values, and in bounded memory however many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

_KEPT = 4_096
"""Different values that are counted one by one."""
_BITS = 8
"""Leading bits of a value that are kept beyond that: it is then right to 1 in 128."""
_BUCKETS = 10
_WIDE = 32
"""From what ratio of the largest to the smallest on buckets grow with their values."""


@dataclass(slots=True)
class Range:
    """Smallest, largest, mean, median and a histogram of the values added (whole numbers from 0)."""

    least: int = 0
    most: int = 0
    total: int = 0
    count: int = 0
    _counts: dict[int, int] = field(default_factory=dict)
    _coarse: bool = False

    def add(self, value: int) -> None:
        """Take a value in."""
        if not self.count or value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        self.total += value
        self.count += 1
        counts = self._counts
        if self._coarse or (value not in counts and len(counts) >= _KEPT):
            if not self._coarse:
                counts = self._coarsened()
            value = _round(value)
        counts[value] = counts.get(value, 0) + 1

    def as_json(self) -> dict[str, Any]:
        """`min`, `max`, `mean`, `median` and `histogram` (buckets `from` one value `to` another, both in it, and how
        many are in each); empty where nothing was added."""
        if not self.count:
            return {}
        mean = round(self.total / self.count, 2)
        return {
            "min": self.least,
            "max": self.most,
            "mean": mean,
            "median": self._median(),
            "histogram": list(self._histogram()),
        }

    def _coarsened(self) -> dict[int, int]:
        """What was counted so far, rounded as all is from now on."""
        before, self._counts, self._coarse = self._counts, {}, True
        for value, count in before.items():
            value = _round(value)
            self._counts[value] = self._counts.get(value, 0) + count
        return self._counts

    def _median(self) -> int:
        """The lower one of the two in the middle."""
        ordered = sorted(self._counts.items())
        middle = (self.count + 1) // 2
        below = accumulate(count for _, count in ordered)
        found = next(value for (value, _), seen in zip(ordered, below, strict=True) if seen >= middle)
        return min(max(found, self.least), self.most)

    def _histogram(self) -> Iterator[dict[str, int]]:
        limits = buckets(self.least, self.most)
        for start, end in pairwise(limits):
            inside = sum(count for value, count in self._counts.items() if start <= max(value, self.least) < end)
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
