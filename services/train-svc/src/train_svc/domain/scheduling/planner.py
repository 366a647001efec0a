"""The scheduler: what happened goes in, what to do comes out.

`plan` is a function of the state, what changed, and the time: no I/O, no clock, no chance. A state is used up by
planning from it, as its indices go on into the next: so a cycle costs by what changed and by how many *different*
requests wait, not by how many nodes or requests there are. Planning from its `snapshot()` afresh decides the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from train_svc.domain.scheduling.books import Books
from train_svc.domain.scheduling.fitting import largest, refusal
from train_svc.domain.scheduling.values import Decision, Delta, Node, Refuse, Revoke, Snapshot
from train_svc.domain.scheduling.walk import Walk


class State:
    """A state to plan from, once. `State.of` makes one from values, `snapshot` gives them."""

    def __init__(self, books: Books) -> None:
        self._books: Books | None = books

    @classmethod
    def of(cls, snapshot: Snapshot) -> State:
        """From scratch. What runs must fit its nodes."""
        return cls(Books(snapshot))

    @property
    def books(self) -> Books:
        """The indices, to be looked at only. Raises RuntimeError where a plan was made from this state."""
        if self._books is None:
            raise RuntimeError("A plan was made from this state already: go on from the state that it gave.")
        return self._books

    def snapshot(self) -> Snapshot:
        """All of it as values."""
        return self.books.snapshot()

    def spend(self) -> Books:
        """The indices, for the one plan that may change them."""
        books, self._books = self.books, None
        return books


def plan(state: State, delta: Delta, now: float) -> tuple[State, tuple[Decision, ...]]:
    """What to do now that `delta` happened. The state given is used up."""
    books = state.spend()
    decisions = list(_apply(books, delta))
    walk = Walk(books, now)
    walk.run()
    return State(books), (*decisions, *walk.decisions)


def _apply(books: Books, delta: Delta) -> Iterable[Decision]:
    """Take in what happened; gives whom it takes something from, and whom it can give nothing ever."""
    if delta.queues is not None:
        books.rebuild([place.node for place in books.pool.places], delta.queues)
    for workload in delta.ended:
        books.end(workload)
    for request_id in delta.cancelled:
        if request_id in books.claims:
            books.unclaim(request_id)
        books.lines.remove(request_id)
    _nodes(books, delta.nodes)
    yield from _lose(books, delta.lost)
    for workload in delta.ending:
        if (running := books.running.get(workload)) is not None and not running.ending:
            books.ending(workload)
    for request in delta.submitted:
        if request.id in books.claimed:
            continue
        reason = refusal(books, request)
        if reason is not None:
            yield Refuse(request.id, reason, largest(books, request))
        elif request.id not in books.running:
            books.lines.add(request)


def _nodes(books: Books, nodes: tuple[Node, ...]) -> None:
    """New nodes, and those that changed or came back."""
    anew: dict[str, Node] = {}
    for node in nodes:
        books.lost.discard(node.name)
        place = books.pool.by_name.get(node.name)
        same = place is not None and replace(place.node, cordoned=node.cordoned, labels=node.labels) == node
        if place is not None and same:
            books.pool.replace(place, node, lost=False)
            books.fits_ever.clear()
        else:
            anew[node.name] = node
    if anew:
        rest = [place.node for place in books.pool.places if place.node.name not in anew]
        books.rebuild([*rest, *anew.values()], books.quotas.queues.values())


def _lose(books: Books, names: tuple[str, ...]) -> Iterable[Decision]:
    """Nodes that are gone. What ran there holds all that it held until it is said to have ended."""
    for name in names:
        place = books.pool.by_name.get(name)
        if place is None or place.lost:
            continue
        books.lost.add(name)
        books.pool.replace(place, place.node, lost=True)
        for part in list(place.parts):
            if not books.running[part.id].ending:
                books.ending(part.id)
            yield Revoke(part.id, name)
