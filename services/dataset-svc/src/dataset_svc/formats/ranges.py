"""The spread of a figure over many files, in constant memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Range:
    """Smallest, largest and mean of the values added."""

    least: int = 0
    most: int = 0
    total: int = 0
    count: int = 0

    def add(self, value: int) -> None:
        """Take a value in."""
        if not self.count or value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        self.total += value
        self.count += 1

    def as_json(self) -> dict[str, float]:
        """`min`, `max` and `mean`; empty where nothing was added."""
        if not self.count:
            return {}
        return {"min": self.least, "max": self.most, "mean": round(self.total / self.count, 2)}
