"""How often a login may fail: a window of attempts for each name and address, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """At most `attempts` within `seconds`."""

    attempts: int
    seconds: float


class Throttle:
    """Counts attempts by key; the least recently used keys are forgotten beyond `capacity`."""

    def __init__(self, limit: Limit, capacity: int = 10_000) -> None:
        self._limit = limit
        self._capacity = capacity
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def attempt(self, key: str, now: float) -> float:
        """Count an attempt at `now` (monotonic seconds). 0 where it is allowed, else in how many seconds to try again.

        It is counted before its outcome is known, so that many at once count as many.
        """
        began, count = self._windows.get(key, (now, 0))
        if now - began >= self._limit.seconds:
            began, count = now, 0
        if count >= self._limit.attempts:
            return began + self._limit.seconds - now
        self._windows[key] = (began, count + 1)
        self._windows.move_to_end(key)
        if len(self._windows) > self._capacity:
            self._windows.popitem(last=False)
        return 0.0

    def succeeded(self, key: str) -> None:
        """A good login: what was counted is forgotten."""
        self._windows.pop(key, None)

    def uncount(self, key: str) -> None:
        """The attempt just counted was a good one: only that one is forgotten."""
        if key in self._windows:
            began, count = self._windows[key]
            self._windows[key] = (began, max(count - 1, 0))

    def __len__(self) -> int:
        return len(self._windows)
