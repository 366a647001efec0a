"""Waiting for long work by asking again and again, soon at first and then more seldom."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from yard.errors import YardError
from yard.pace import Time

R = TypeVar("R")
FIRST, LONGEST, GROWTH = 0.05, 1.0, 1.3
"""Seconds between two questions: from the first, growing by this factor, to the longest."""


def until(
    hour: Time,
    ask: Callable[[], R],
    done: Callable[[R], bool],
    *,
    progress: Callable[[R], None] | None = None,
    timeout: float | None = None,
    what: str = "it",
) -> R:
    """Ask until `done`; `progress` is told every answer. Raises YardError (`timeout`) after `timeout` seconds."""
    ends = None if timeout is None else hour.now() + timeout
    pause = FIRST
    while True:
        seen = ask()
        if progress is not None:
            progress(seen)
        if done(seen):
            return seen
        if ends is not None and hour.now() >= ends:
            raise YardError("timeout", f"Waited {timeout:g} s for {what}, and it is not done. It goes on by itself.")
        hour.sleep(pause if ends is None else max(0.0, min(pause, ends - hour.now())))
        pause = min(pause * GROWTH, LONGEST)
