"""Those who wait, in lines of equal requests: of one line, if the first has no room, none has."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

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


class Lines:
    """All lines of a state."""

    def __init__(self, requests: Iterable[Request] = ()) -> None:
        self._lines: dict[tuple[object, ...], Line] = {}
        self.requests: dict[str, Request] = {}
        for request in requests:
            self._line(request).waiting.append((request.submitted, request.id))
            self.requests[request.id] = request
        for line in self._lines.values():
            line.waiting.sort()

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    def line_of(self, request: Request) -> Line:
        """The line that a request waits in."""
        return self._lines[_key(request)]

    def _line(self, request: Request) -> Line:
        key = _key(request)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(request)
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
        key = _key(request)
        waiting = self._lines[key].waiting
        del waiting[bisect_left(waiting, (request.submitted, request.id))]
        if not waiting:
            del self._lines[key]
        return request


def _key(r: Request) -> tuple[object, ...]:
    return (
        *(r.queue, r.user, r.member, r.gang, r.priority, r.time_limit, r.selectors, r.anti_affinity, r.avoid),
        *(r.preemptible, r.min_run),
    )
