"""The hour as a thing that is passed in, and how long to go on trying."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

PAUSE_FIRST, PAUSE_LONGEST = 0.1, 2.0
"""Seconds between tries: doubled from the first to the longest, with jitter."""


@dataclass(frozen=True)
class Time:
    """The hour (seconds, monotonic) and how to wait, so that tests need not wait."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Patience:
    """How long to go on trying from the first failure on, in seconds, and how long to pause between two tries."""

    def __init__(self, seconds: float, hour: Time) -> None:
        self._hour = hour
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin again: something went well meanwhile."""
        self._until: float | None = None
        self._pause = PAUSE_FIRST

    def wait(self, least: float = 0.0) -> bool:
        """Pause before the next try; False, at once, where there is no time left for one."""
        pause = max(least, self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter is no secret
        now = self._hour.now()
        if self._until is None:
            self._until = now + self._seconds
        if now + pause > self._until:
            return False
        self._hour.sleep(pause)
        self._pause = min(self._pause * 2, PAUSE_LONGEST)
        return True
