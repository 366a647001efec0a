"""One pass over those who wait, best first: whoever has room begins, the others do not get in each other's way.

EASY backfill (Lifka, The ANL/IBM SP Scheduling System, JSSPP 1995; Mu'alem and Feitelson, TPDS 12(6), 2001), with a
head for each cohort: of what is kept for a head, others get only what they give back in time, or what is left over.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from common.contracts.shared import Placement
from train_svc.domain.scheduling import preempting
from train_svc.domain.scheduling.books import Books
from train_svc.domain.scheduling.line import First, Lane, Line
from train_svc.domain.scheduling.quotas import Account
from train_svc.domain.scheduling.room import Place, Room
from train_svc.domain.scheduling.values import Admit, Claim, Decision, Preempt, Request, Reserve, Running, Take

Key = tuple[bool, int, float, float, float, str]
Inner = tuple[bool, First, int, Lane]
"""A lane among those of its user: whether it borrows, its first, a number of its own."""


@dataclass(eq=False, slots=True)
class Hold:
    """Quota that is kept for a head: until `start` for whoever gives it back in time, `spare` for anybody."""

    owner: str
    start: float
    spare: dict[str, int]


@dataclass(eq=False, slots=True)
class Kept:
    """A node that is kept for a head, likewise."""

    owner: str
    start: float
    spare: Room


class Walk:
    """A pass at one moment. `decisions` is what it comes to."""

    def __init__(self, books: Books, now: float) -> None:
        self.books, self.now = books, now
        self.decisions: list[Decision] = []
        self.holds: dict[Account, Hold] = {}
        self.kept: dict[int, Kept] = {}
        self.reserved: dict[str, Reserve] = {}
        self._heads: set[Account] = set()
        self._full: set[tuple[object, ...]] = set()
        self._blocked_by_others = False
        self._near = False

    def run(self) -> None:
        """Claims first, since theirs is theirs; then everybody, best first."""
        self._claims()
        users: dict[tuple[str, str], list[Inner]] = {}
        for n, lane in enumerate(self.books.lines.lanes.values()):
            first, line = lane.order(self.books.policy.ageing)[0]
            users.setdefault((line.one.queue, line.one.user), []).append(
                (self._borrows(line, first[1]), first, n, lane)
            )
        heap: list[tuple[Key, int, list[Inner]]] = []
        for n, lanes in enumerate(users.values()):
            heapq.heapify(lanes)
            if (key := self._first(lanes)) is not None:
                heap.append((key, n, lanes))
        heapq.heapify(heap)
        while heap:
            known, n, lanes = heap[0]
            if self._first(lanes) == known:
                self._serve_lane(lanes)
            if (key := self._first(lanes)) is None:
                heapq.heappop(heap)
            elif key != known:
                heapq.heapreplace(heap, (key, n, lanes))
        self._tell_reservations()

    def _borrows(self, line: Line, submitted: float) -> bool:
        """Whether it must go behind those that stay within what they are guaranteed."""
        books = self.books
        return self.now - submitted < books.policy.starving and books.quotas.borrows(line.one.queue, line.demand)

    def _first(self, lanes: list[Inner]) -> Key | None:
        """The key of the best of a user's lanes, which is put first; None where there is none left."""
        while lanes:
            borrows, first, n, lane = lanes[0]
            line = next(iter(lane.lines.values()))
            if borrows or not self._borrows(line, first[1]):
                shares = self.books.quotas.shares(line.one.queue, line.one.user)
                return (borrows, first[0], *shares, first[1], first[2])
            heapq.heapreplace(lanes, (True, first, n, lane))
        return None

    def _serve_lane(self, lanes: list[Inner]) -> None:
        """Serve the first of a user's best lane, or else those of it that may have what the first may not."""
        _, _, n, lane = lanes[0]
        tried: int | None = None
        for _, line in lane.order(self.books.policy.ageing):
            if tried is None or self._blocked_by_others or line.one.priority > tried:
                if self._serve(line):
                    break
                tried = line.one.priority if tried is None else max(tried, line.one.priority)
        else:
            heapq.heappop(lanes)
            return
        if lane.lines:
            first, line = lane.order(self.books.policy.ageing)[0]
            heapq.heapreplace(lanes, (self._borrows(line, first[1]), first, n, lane))
        else:
            heapq.heappop(lanes)

    def key(self, line: Line, who: tuple[float, str]) -> Key:
        """The place of one of a line: within its guarantee; important, or old; shares; then who came first."""
        submitted, request_id = who
        shares = self.books.quotas.shares(line.one.queue, line.one.user)
        rank = line.rank(submitted, self.books.policy.ageing)
        return (self._borrows(line, submitted), rank, *shares, submitted, request_id)

    def _serve(self, line: Line) -> bool:
        """Let the first of a line begin, or end others for it; False where it, and so all its like, must wait."""
        request = self.books.lines.requests[line.waiting[0][1]]
        accounts = self.books.quotas.of(request.queue, request.user)
        short = [account for account in accounts if not account.fits(line.demand)]
        self._blocked_by_others = not short and self._held(line, request, accounts)
        if self._blocked_by_others:
            return False
        if not short:
            chosen = self._place(request)
            if chosen is not None:
                self._admit(line, request, chosen)
                return True
            self._blocked_by_others = self._near
        if self.books.policy.preempt and self._preempt(line, request):
            return True
        if short:
            self._hold(line, request, short)
        else:
            self._keep(request, accounts[-1])
        return False

    def _held(self, line: Line, request: Request, accounts: Sequence[Account]) -> bool:
        """Whether quota that it would use is kept for somebody else."""
        for account in accounts:
            hold = self.holds.get(account)
            if hold is None or self._back_by(request, hold.start):
                continue
            if any(hold.spare.get(r, n) < n for r, n in line.demand.items()):
                return True
        return False

    def _back_by(self, request: Request, start: float) -> bool:
        return request.time_limit is not None and self.now + request.time_limit <= start

    def _place(self, request: Request) -> list[Place] | None:
        """Where its members go now: open nodes, and of those kept for others what they do not miss."""
        pool = self.books.pool
        allowed, barred = pool.eligible(request), self.books.affinity.get(request.anti_affinity or "", ())
        near = [
            (place, kept)
            for rank, kept in self.kept.items()
            if (allowed is None or rank in allowed)
            and rank not in barred
            and (place := pool.places[rank]).open.fits(request.member)
        ]
        self._near = bool(near)
        extra = [p for p, kept in near if self._back_by(request, kept.start) or _spares(p, kept.spare, request)]
        what = (request.member, request.gang, request.selectors, request.anti_affinity, request.avoid)
        if what in self._full and not extra:
            return None
        chosen = pool.find(request, allowed, barred, extra)
        if chosen is None:
            self._full.add(what)
        return chosen

    def _admit(self, line: Line, request: Request, chosen: Sequence[Place]) -> None:
        placements = []
        for place in chosen:
            take = place.open.take(request.member)
            kept = self.kept.get(place.rank)
            if kept is not None and not self._back_by(request, kept.start):
                kept.spare = kept.spare.less(request.member, take)
            placements.append(Placement.model_construct(node=place.node.name, devices=place.choose(take)))
        for account in self.books.quotas.of(request.queue, request.user):
            hold = self.holds.get(account)
            if hold is not None and not self._back_by(request, hold.start):
                for resource in hold.spare:
                    hold.spare[resource] -= line.demand.get(resource, 0)
        self.books.lines.remove(request.id)
        self._begin(request, tuple(placements))

    def _begin(self, request: Request, placements: tuple[Placement, ...]) -> None:
        self.books.start(Running(request, placements, self.now))
        self.decisions.append(Admit(request.id, placements))

    def _claims(self) -> None:
        """Begin those whose victims are gone; a claim on a node that can't be used any more is none."""
        pool = self.books.pool
        for claim in list(self.books.claims.values()):
            places = [pool.by_name.get(take.node) for take in claim.takes]
            if any(place is None or not place.usable for place in places):
                self.books.lines.add(self.books.unclaim(claim.request))
            elif not claim.victims:
                request = self.books.unclaim(claim.request)
                takes = [(pool.by_name[take.node], take.devices) for take in claim.takes]
                self._begin(
                    request,
                    tuple(Placement.model_construct(node=p.node.name, devices=p.choose(d)) for p, d in takes),
                )

    def _preempt(self, line: Line, request: Request) -> bool:
        found = preempting.victims(self.books, request, line.demand, self.now)
        if found is None:
            return False
        ids = tuple(sorted(running.request.id for running in found.victims))
        takes = tuple(Take(place.node.name, devices) for place, devices in found.takes)
        for victim in ids:
            self.books.ending(victim)
        self.books.claim(request, Claim(request.id, frozenset(ids), takes))
        self.decisions.append(Preempt(request.id, ids, self.books.policy.grace))
        return True

    def _hold(self, line: Line, request: Request, short: Sequence[Account]) -> None:
        """Keep quota for it, where nobody before it in line has done so."""
        if any(account in self.holds for account in short):
            return
        starts, names = [self.now], []
        for account in short:
            freed: dict[str, int] = {}
            for ends, workload in account.ends:
                for resource, amount in self.books.amounts[workload].items():
                    freed[resource] = freed.get(resource, 0) + amount
                if not account.short(line.demand, freed):
                    starts.append(ends)
                    break
            else:
                if account.short(line.demand, freed):
                    continue  # a claim has it: when that ends nobody knows
            left = {r: n - account.used.get(r, 0) + freed.get(r, 0) for r, n in account.limit.items()}
            spare = {r: n - line.demand.get(r, 0) for r, n in left.items()}
            self.holds[account] = Hold(request.id, max(starts), spare)
            names.append(account.name)
        if names:
            self.reserved[request.id] = Reserve(request.id, max(starts), quotas=tuple(names))

    def _keep(self, request: Request, scope: Account) -> None:
        """Keep the nodes that will have room first, for the first of each cohort."""
        if scope in self._heads or len(self._heads) >= self.books.policy.reservations:
            return
        pool, allowed = self.books.pool, self.books.pool.eligible(request)
        barred = self.books.affinity.get(request.anti_affinity or "", ())
        chosen: list[tuple[float, int, int]] = []
        for when in pool.soonest(request.member):
            rank = when[2]
            if rank not in self.kept and rank not in barred and (allowed is None or rank in allowed):
                chosen.append(when)
                if len(chosen) == request.gang:
                    break
        else:
            return  # there are no such nodes now: it must not be in the way of those that can begin some day
        self._heads.add(scope)
        start = max(self.now, max(when[0] for when in chosen))
        for _, steps, rank in chosen:
            place = pool.places[rank]
            room = place.then(steps)
            self.kept[rank] = Kept(request.id, start, room.less(request.member, room.take(request.member)))
            pool.keep(place, True)
        names = tuple(pool.places[rank].node.name for _, _, rank in chosen)
        self.reserved[request.id] = Reserve(request.id, start, nodes=names)

    def _tell_reservations(self) -> None:
        """Say what is new of reservations, and put nodes back: the next pass decides afresh."""
        known = self.books.reserved
        self.decisions += [reserve for reserve in self.reserved.values() if known.get(reserve.id) != reserve]
        self.books.reserved = self.reserved
        for rank in self.kept:
            self.books.pool.keep(self.books.pool.places[rank], False)


def _spares(place: Place, spare: Room, request: Request) -> bool:
    """Whether a head can do without what the member would be given there."""
    rest = spare.less(request.member, place.open.take(request.member))
    return rest.cpu >= 0 and rest.memory >= 0 and all(n >= 0 for n in rest.counts)
