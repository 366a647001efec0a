"""When what could not be done now is tried again, and when nobody should wait for it any longer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from common.kernel.errors import Problem, Unavailable
from dataset_svc.domain.sources import SourceAway

SHORTEST, LONGEST = 1.0, 60.0
"""Seconds between two tries: twice as many each time, so that what is back is soon taken up, and what isn't costs
little."""

TRIES = 5
"""How often a failure is met that nobody foresaw: it may have been a moment's, but the same again is no accident."""

_DOUBLINGS = 10


@dataclass(frozen=True)
class Rest:
    """So many `tries` on end were in vain by that kind of problem, the first of them at `since`, and nothing is tried
    before `until` (monotonic seconds)."""

    kind: type[Problem]
    tries: int
    since: float
    until: float


class Resting:
    """What waits for another try, by id. `patience` is how many seconds a source may be away."""

    def __init__(self, patience: float, monotonic: Callable[[], float]) -> None:
        self._patience, self._monotonic = patience, monotonic
        self._rests: dict[str, Rest] = {}

    def now(self) -> Collection[str]:
        """Ids of those that are not to be tried yet."""
        hour = self._monotonic()
        return {one for one, rest in self._rests.items() if rest.until > hour}

    def failed(self, one: str, problem: Problem) -> bool:
        """It was tried in vain. Gives whether it has failed for good.

        The platform's own storage, database and broker are waited for as long as it takes; a source that a person has
        named may never come back; and what nobody foresaw is told after some tries.
        """
        hour, kind = self._monotonic(), _kind(problem)
        before = self._rests.get(one)
        if before is None or before.kind is not kind:
            before = Rest(kind, 0, hour, hour)
        pause = min(SHORTEST * 2 ** min(before.tries, _DOUBLINGS), LONGEST)
        self._rests[one] = Rest(kind, before.tries + 1, before.since, hour + pause)
        if kind is SourceAway:
            return hour - before.since >= self._patience
        return kind is Problem and before.tries + 1 >= TRIES

    def went_on(self, one: str) -> None:
        """It has come further than ever: what is in its way next is something new."""
        self._rests.pop(one, None)

    def forget(self, keep: Collection[str] = ()) -> None:
        """All but these have ended, or are another's."""
        for gone in self._rests.keys() - set(keep):
            del self._rests[gone]


def _kind(problem: Problem) -> type[Problem]:
    return next(kind for kind in (SourceAway, Unavailable, Problem) if isinstance(problem, kind))
