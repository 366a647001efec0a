"""How long one that could not go on is left alone: each time twice as long, up to a quarter of a minute."""

from __future__ import annotations

from collections.abc import Collection

from common.kernel.clock import Clock

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 15.0


class Pauses:
    """The pauses of workloads, by id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pauses: dict[str, tuple[float, float]] = {}

    def begin(self, workload_id: str) -> None:
        """Leave it alone, for longer than the last time."""
        _, last = self._pauses.get(workload_id, (0.0, FIRST_SECONDS / 2))
        pause = min(last * 2, LONGEST_SECONDS)
        self._pauses[workload_id] = (self._clock.monotonic() + pause, pause)

    def end(self, workload_id: str) -> None:
        """It goes on."""
        self._pauses.pop(workload_id, None)

    def over(self, workload_id: str) -> bool:
        """Whether it may be tried again."""
        return self._pauses.get(workload_id, (0.0, 0.0))[0] <= self._clock.monotonic()

    def keep(self, ids: Collection[str]) -> None:
        """Forget all others."""
        self._pauses = {known: pause for known, pause in self._pauses.items() if known in ids}
