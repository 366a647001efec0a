"""Those who wait, in lines of equal requests: of one line, if the first has no room, none has.

A lane holds the lines of one user that ask for the same of the same nodes, and differ in how long or how important
they are: quotas and room are the same question for all of a lane.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter

from train_svc.domain.scheduling.values import Request, demand


@dataclass(eq=False)
class Line:
    """Requests that differ in nothing but their id and when they came; the first came first."""

    one: Request
    waiting: list[tuple[float, str]] = field(default_factory=list)

    @cached_property
    def demand(self) -> dict[str, int]:
        """What one of them takes in all."""
        return demand(self.one.member, self.one.gang)

    def rank(self, submitted: float, ageing: float) -> int:
        """Its importance, the smaller the more: a span of `ageing` earlier is worth a point of priority."""
        return int(submitted // ageing) - self.one.priority


First = tuple[int, float, str]
"""What orders lines within a lane: rank, when the first came, and its id."""

_FIRST = itemgetter(0)


@dataclass(eq=False)
class Lane:
    """Lines of one queue and user that ask for the same."""

    lines: dict[tuple[object, ...], Line] = field(default_factory=dict)
    _order: list[tuple[First, Line]] | None = None

    def changed(self) -> None:
        """Somebody came or went."""
        self._order = None

    def order(self, ageing: float) -> list[tuple[First, Line]]:
        """The lines, the one whose first is most important first."""
        if self._order is None:
            firsts = [((line.rank(line.waiting[0][0], ageing), *line.waiting[0]), line) for line in self.lines.values()]
            self._order = sorted(firsts, key=_FIRST) if len(firsts) > 1 else firsts
        return self._order


class Lines:
    """All lines of a state."""

    def __init__(self, requests: Iterable[Request] = ()) -> None:
        self.lanes: dict[tuple[object, ...], Lane] = {}
        self.requests: dict[str, Request] = {}
        for request in requests:
            self._line(request).waiting.append((request.submitted, request.id))
            self.requests[request.id] = request
        for line in self:
            line.waiting.sort()

    def __iter__(self) -> Iterator[Line]:
        return (line for lane in self.lanes.values() for line in lane.lines.values())

    def line_of(self, request: Request) -> Line:
        """The line that a request waits in."""
        return self.lanes[_lane(request)].lines[_kind(request)]

    def _line(self, request: Request) -> Line:
        key = _lane(request)
        lane = self.lanes.get(key)
        if lane is None:
            lane = self.lanes[key] = Lane()
        lane.changed()
        kind = _kind(request)
        line = lane.lines.get(kind)
        if line is None:
            line = lane.lines[kind] = Line(request)
        return line

    def add(self, request: Request) -> None:
        """One more waits. Heard twice is once."""
        if request.id not in self.requests:
            self.requests[request.id] = request
            insort(self._line(request).waiting, (request.submitted, request.id))

    def remove(self, request_id: str) -> Request | None:
        """One waits no more; None where it did not."""
        request = self.requests.pop(request_id, None)
        if request is None:
            return None
        key, kind = _lane(request), _kind(request)
        lane = self.lanes[key]
        lane.changed()
        waiting = lane.lines[kind].waiting
        del waiting[bisect_left(waiting, (request.submitted, request.id))]
        if not waiting:
            del lane.lines[kind]
            if not lane.lines:
                del self.lanes[key]
        return request


def _lane(r: Request) -> tuple[object, ...]:
    return r.queue, r.user, r.member, r.gang, r.selectors, r.anti_affinity, r.avoid


def _kind(r: Request) -> tuple[object, ...]:
    return r.priority, r.time_limit, r.preemptible, r.min_run
