"""What a state keeps: nodes, quotas, lines of those who wait, what runs, and what is claimed. Changed in place by one
plan at a time; `planner.State` is what others see of it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence

from common.contracts.shared import Placement
from train_svc.domain.scheduling.line import Lines
from train_svc.domain.scheduling.pool import Pool
from train_svc.domain.scheduling.quotas import Quotas
from train_svc.domain.scheduling.room import Model, Part, Place
from train_svc.domain.scheduling.values import (
    Claim,
    Node,
    Queue,
    Request,
    Running,
    Snapshot,
    Take,
    demand,
)

Order = tuple[int, float, float, str]
Wanted = Sequence[tuple[Model, int]]


class Books:
    """The indices of one state."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.policy = snapshot.policy
        self.lost = set(snapshot.lost)
        self.claims: dict[str, Claim] = {}
        self.claimed: dict[str, Request] = {}
        self.reserved = {reserve.id: reserve for reserve in snapshot.reserved}
        self._build(snapshot.nodes, snapshot.queues)
        claimed = {claim.request for claim in snapshot.claims}
        self.lines = Lines(request for request in snapshot.waiting if request.id not in claimed)
        for running in snapshot.running:
            self.start(running)
        waiting = {request.id: request for request in snapshot.waiting if request.id in claimed}
        for claim in snapshot.claims:
            self.claim(waiting[claim.request], claim)

    def _build(self, nodes: Iterable[Node], queues: Iterable[Queue]) -> None:
        self.pool = Pool(nodes)
        for place in self.pool.places:
            if place.node.name in self.lost:
                self.pool.replace(place, place.node, lost=True)
        self.quotas = Quotas(queues, self.pool.capacity)
        self.running: dict[str, Running] = {}
        self.amounts: dict[str, dict[str, int]] = {}
        self.affinity: dict[str, Counter[int]] = {}
        self.preemptible: dict[str, list[Order]] = {}
        self.fits_ever: dict[tuple[object, ...], bool] = {}

    def rebuild(self, nodes: Iterable[Node], queues: Iterable[Queue]) -> None:
        """Begin anew with other nodes or queues: for what changes once in a while."""
        running, claims = list(self.running.values()), list(self.claims.values())
        self._build(nodes, queues)
        for one in running:
            self.start(one)
        self.claims, waiting = {}, self.claimed
        for claim in claims:
            self.claim(waiting[claim.request], claim)

    def start(self, running: Running) -> None:
        """It holds its placements from now on."""
        request, ends = running.request, running.ends
        self.running[request.id] = running
        amounts = self.amounts[request.id] = demand(request.member, request.gang)
        self.quotas.charge(request.queue, request.user, amounts)
        for account in self.quotas.of(request.queue, request.user):
            account.note(ends, request.id)
        if running.ending:
            self.quotas.leaves(request.queue, amounts)
        elif request.preemptible:
            insort(self.preemptible.setdefault(request.queue, []), order(running))
        for place, placement in self._places(running.placements):
            place.put(_part(place, running, placement), placement.devices)
            self._affine(request, place, 1)
            self.pool.changed(place)

    def end(self, workload: str) -> None:
        """It is gone: what it held is free. One that does not run is nothing to do."""
        running = self.running.pop(workload, None)
        if running is None:
            return
        request, ends = running.request, running.ends
        amounts = self.amounts.pop(workload)
        self.quotas.charge(request.queue, request.user, amounts, -1)
        if running.ending:
            self.quotas.leaves(request.queue, amounts, -1)
        for account in self.quotas.of(request.queue, request.user):
            account.forget(ends, workload)
        self._unlist(running)
        for place, placement in self._places(running.placements):
            place.remove(_part(place, running, placement), placement.devices)
            self._affine(request, place, -1)
            self.pool.changed(place)
        for claim in [claim for claim in self.claims.values() if workload in claim.victims]:
            self.claims[claim.request] = Claim(claim.request, claim.victims - {workload}, claim.takes)

    def ending(self, workload: str) -> None:
        """It was told to go, and holds what it holds until it has gone."""
        running = self.running[workload]
        self._unlist(running)
        self.quotas.leaves(running.request.queue, self.amounts[workload])
        self.running[workload] = Running(running.request, running.placements, running.started, ending=True)

    def _unlist(self, running: Running) -> None:
        if running.request.preemptible and not running.ending:
            listed = self.preemptible[running.request.queue]
            del listed[bisect_left(listed, order(running))]

    def _places(self, placements: Iterable[Placement]) -> Iterable[tuple[Place, Placement]]:
        return ((self.pool.by_name[p.node], p) for p in placements if p.node in self.pool.by_name)

    def claim(self, request: Request, claim: Claim) -> None:
        """Keep what it takes for a request that waits for its victims to go."""
        self.lines.remove(request.id)
        self.claims[request.id], self.claimed[request.id] = claim, request
        self.quotas.charge(request.queue, request.user, demand(request.member, request.gang))
        self._count_claim(request, claim.takes, -1)

    def unclaim(self, request_id: str) -> Request:
        """Keep it no longer; the request is neither waiting nor running then."""
        request, claim = self.claimed.pop(request_id), self.claims.pop(request_id)
        self.quotas.charge(request.queue, request.user, demand(request.member, request.gang), -1)
        self._count_claim(request, claim.takes, 1)
        return request

    def _count_claim(self, request: Request, takes: Iterable[Take], sign: int) -> None:
        for take in takes:
            if (place := self.pool.by_name.get(take.node)) is not None:
                place.claimed = place.claimed.less(request.member, take.devices, -sign)
                self._affine(request, place, -sign)
                self.pool.changed(place)

    def _affine(self, request: Request, place: Place, sign: int) -> None:
        """Note that one is there, or will be, with which others of its kind share no node."""
        key = request.anti_affinity
        if key is None:
            return
        there = self.affinity.setdefault(key, Counter())
        there[place.rank] += sign
        if not there[place.rank]:
            del there[place.rank]
        if not there:
            del self.affinity[key]

    def snapshot(self) -> Snapshot:
        """All of it as values, in an order of its own."""
        waiting = [*self.lines.requests.values(), *self.claimed.values()]
        return Snapshot(
            self.policy,
            tuple(place.node for place in self.pool.places),
            tuple(self.quotas.queues.values()),
            tuple(sorted(self.running.values(), key=lambda running: running.request.id)),
            tuple(sorted(waiting, key=lambda request: request.id)),
            tuple(self.claims.values()),
            tuple(sorted(self.reserved.values(), key=lambda reserve: reserve.id)),
            frozenset(self.lost),
        )


def order(running: Running) -> Order:
    """Whom to end first: the lowest priority, the newest; of those that began at once, who asked last."""
    request = running.request
    return request.priority, -running.started, -request.submitted, request.id


def _part(place: Place, running: Running, placement: Placement) -> Part:
    """What a running workload holds of a node, by model."""
    counts: dict[Model, int] = {}
    for device in placement.devices:
        if (model := place.of.get(device)) is not None:
            counts[model] = counts.get(model, 0) + 1
    return Part(running.ends, running.request.id, running.request.member, tuple(sorted(counts.items())))
