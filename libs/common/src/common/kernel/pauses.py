"""How long what could not go on is left alone: each time twice as long, so that what is back is soon taken up, and what
isn't costs little."""

from __future__ import annotations

from collections.abc import Collection

from common.kernel.clock import Clock


class Pauses:
    """The pauses of some things, by id: `first` seconds, then twice as long each time, and never over `longest`."""

    def __init__(self, clock: Clock, first: float, longest: float) -> None:
        self._clock, self._first, self._longest = clock, first, longest
        self._pauses: dict[str, tuple[float, float]] = {}

    def begin(self, one: str) -> None:
        """Leave it alone, for longer than the last time."""
        _, last = self._pauses.get(one, (0.0, self._first / 2))
        pause = min(last * 2, self._longest)
        self._pauses[one] = (self._clock.monotonic() + pause, pause)

    def end(self, one: str) -> None:
        """It goes on."""
        self._pauses.pop(one, None)

    def over(self, one: str) -> bool:
        """Whether it may be tried again."""
        return self._pauses.get(one, (0.0, 0.0))[0] <= self._clock.monotonic()

    def keep(self, ids: Collection[str]) -> None:
        """Forget all others."""
        self._pauses = {known: pause for known, pause in self._pauses.items() if known in ids}
