"""When what could not be done now is tried again, and when nobody should wait for it any longer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from common.kernel.clock import Clock
from common.kernel.errors import Problem, Unavailable
from common.kernel.pauses import Pauses
from dataset_svc.domain.sources import SourceAway

SHORTEST, LONGEST = 1.0, 60.0
"""Seconds between two tries, the first time and at most."""

TRIES = 5
"""How often a failure is met that nobody foresaw: it may have been a moment's, but the same again is no accident."""


@dataclass(frozen=True)
class Streak:
    """So many `tries` on end were in vain by that kind of problem, the first of them at `since` (monotonic seconds)."""

    kind: type[Problem]
    tries: int
    since: float


class Resting:
    """What waits for another try, by id. `patience` is how many seconds a source may be away."""

    def __init__(self, patience: float, clock: Clock) -> None:
        self._patience, self._clock = patience, clock
        self._pauses = Pauses(clock, SHORTEST, LONGEST)
        self._streaks: dict[str, Streak] = {}

    def among(self, ids: Collection[str]) -> Collection[str]:
        """Those of them that are not to be tried yet."""
        return {one for one in ids if not self._pauses.over(one)}

    def failed(self, one: str, problem: Problem) -> bool:
        """It was tried in vain. Gives whether it has failed for good.

        The platform's own storage, database and broker are waited for as long as it takes; a source that a person has
        named may never come back; and what nobody foresaw is told after some tries.
        """
        hour, kind = self._clock.monotonic(), _kind(problem)
        before = self._streaks.get(one)
        if before is None or before.kind is not kind:
            self._pauses.end(one)
            before = Streak(kind, 0, hour)
        self._pauses.begin(one)
        self._streaks[one] = Streak(kind, before.tries + 1, before.since)
        if kind is SourceAway:
            return hour - before.since >= self._patience
        return kind is Problem and before.tries + 1 >= TRIES

    def went_on(self, one: str) -> None:
        """It has come further than ever: what is in its way next is something new."""
        self._streaks.pop(one, None)
        self._pauses.end(one)

    def keep(self, ids: Collection[str] = ()) -> None:
        """All but these have ended, or are another's."""
        self._pauses.keep(ids)
        self._streaks = {one: streak for one, streak in self._streaks.items() if one in ids}


def _kind(problem: Problem) -> type[Problem]:
    return next(kind for kind in (SourceAway, Unavailable, Problem) if isinstance(problem, kind))
