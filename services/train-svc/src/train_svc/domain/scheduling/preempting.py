"""Whom to end so that another can begin: whole workloads, the fewest, of the lowest priority, the newest.

Whoever is of lower priority in the same queue may be ended; and, by a queue that stays within its guarantee, what
others in its cohort borrowed, where that is what they use. Of two workloads at most one may ever end the other for the
same capacity, and nobody is ended unless the other can begin for it: so there is no cycle and no loss for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from train_svc.domain.scheduling.books import Books, order
from train_svc.domain.scheduling.room import Model, Place, Room
from train_svc.domain.scheduling.values import Request, Running

_CANDIDATES = 512


@dataclass(frozen=True)
class Found:
    """Who is to end, and what the other then takes of which node."""

    victims: list[Running]
    takes: list[tuple[Place, tuple[tuple[Model, int], ...]]]


def victims(books: Books, request: Request, wanted: dict[str, int], now: float) -> Found | None:
    """Whom to end for it; None where that would not help or is not allowed.

    The fewest are found by taking the largest first, which is exact for one node and one kind of resource, and by
    sparing whoever turns out to be needless.
    """
    search = _Search(books, request, wanted, list(_candidates(books, request, wanted, now)))
    if not search.candidates or not search.possible(search.candidates):
        return None
    chosen = search.for_quota()
    if chosen is None:
        return None
    chosen = search.for_nodes(chosen)
    for victim in reversed(search.candidates):
        if victim in chosen and search.possible(rest := [one for one in chosen if one is not victim]):
            chosen = rest
    takes = search.placed(chosen)
    return Found(chosen, takes) if chosen and takes is not None else None


def _candidates(books: Books, request: Request, wanted: dict[str, int], now: float) -> list[Running]:
    """Who may be ended for it, first whom to end first."""
    found: list[str] = []
    for priority, *_, workload in books.preemptible.get(request.queue, ()):
        if priority >= request.priority or len(found) >= _CANDIDATES:
            break
        found.append(workload)
    quotas, policy = books.quotas, books.policy
    cohort = quotas.queues[request.queue].cohort
    if cohort is not None and policy.reclaim != "never" and not quotas.borrows(request.queue, wanted):
        for name, queue in quotas.queues.items():
            borrowed = [r for r in wanted if quotas.over(name, {r: wanted[r]}, {})] if queue.cohort == cohort else []
            if borrowed and name != request.queue:
                listed = books.preemptible.get(name, ())[:_CANDIDATES]
                able = (w for p, *_, w in listed if policy.reclaim == "any" or p < request.priority)
                found += [w for w in able if any(books.amounts[w].get(r) for r in borrowed)]
    running_ones = [books.running[workload] for workload in found]
    ripe = [running for running in running_ones if running.started + running.request.min_run <= now]
    return sorted(ripe, key=order)[:_CANDIDATES]


def _claimable(books: Books, workload: str, queue: str, wanted: dict[str, int], given: dict[str, int]) -> bool:
    """Whether it uses something that is wanted and that its queue borrows, once that gives up what it has to."""
    amounts = books.amounts[workload]
    return books.quotas.over(queue, {resource: n for resource, n in wanted.items() if amounts.get(resource)}, given)


@dataclass
class _Search:
    books: Books
    request: Request
    wanted: dict[str, int]
    candidates: list[Running]

    def _quota(self, ended: Iterable[Running]) -> bool:
        """Whether quotas allow it then, and nobody is made to give up what it is guaranteed."""
        spared: dict[str, dict[str, int]] = {}
        quotas, mine = self.books.quotas, self.request.queue
        for running in ended:
            queue = running.request.queue
            given = spared.setdefault(queue, {})
            if queue != mine and not _claimable(self.books, running.request.id, queue, self.wanted, given):
                return False
            for resource, amount in self.books.amounts[running.request.id].items():
                given[resource] = given.get(resource, 0) + amount
        total: dict[str, int] = {}
        for given in spared.values():
            for resource, amount in given.items():
                total[resource] = total.get(resource, 0) + amount
        part = quotas.of_user(mine, self.request.user)
        if part is not None and part.short(self.wanted, self._given_up(ended)):
            return False
        own, *shared = quotas.of_queue(mine)
        return not own.short(self.wanted, spared.get(mine)) and not any(a.short(self.wanted, total) for a in shared)

    def _given_up(self, ended: Iterable[Running]) -> dict[str, int]:
        """What the same user would use no more of the queue."""
        mine = (self.request.queue, self.request.user)
        found: dict[str, int] = {}
        for running in ended:
            if (running.request.queue, running.request.user) == mine:
                for resource, amount in self.books.amounts[running.request.id].items():
                    found[resource] = found.get(resource, 0) + amount
        return found

    def _rooms(self, ended: Iterable[Running]) -> dict[int, Room]:
        """The room of each node that they leave."""
        rooms: dict[int, Room] = {}
        for running in ended:
            for placement in running.placements:
                place = self.books.pool.by_name.get(placement.node)
                if place is None or not place.usable or place.kept:
                    continue
                part = next(part for part in place.parts if part.id == running.request.id)
                rooms[place.rank] = rooms.get(place.rank, place.open).less(part.member, part.devices, 1)
        return rooms

    def placed(self, ended: Iterable[Running]) -> list[tuple[Place, tuple[tuple[Model, int], ...]]] | None:
        """Where it would go then."""
        pool, rooms = self.books.pool, self._rooms(ended)
        allowed = pool.eligible(self.request)
        barred = set(self.books.affinity.get(self.request.anti_affinity or "", ()))
        extra = [
            pool.places[rank]
            for rank, room in sorted(rooms.items(), key=lambda item: (item[1].tightness, item[0]))
            if room.fits(self.request.member) and rank not in barred and (allowed is None or rank in allowed)
        ]
        chosen = pool.find(self.request, allowed, barred | rooms.keys(), extra)
        if chosen is None:
            return None
        return [(place, rooms.get(place.rank, place.open).take(self.request.member)) for place in chosen]

    def possible(self, ended: Sequence[Running]) -> bool:
        """Whether it could begin then."""
        allowed = self.allowed(ended) if ended is self.candidates else list(ended)
        return self._quota(allowed) and self.placed(allowed) is not None

    def allowed(self, ended: Iterable[Running]) -> list[Running]:
        """As many of them, in order, as may be ended before their queues are down to what they are guaranteed."""
        spared: dict[str, dict[str, int]] = {}
        found = []
        for running in ended:
            queue = running.request.queue
            given = spared.setdefault(queue, {})
            claimed = queue != self.request.queue
            if claimed and not _claimable(self.books, running.request.id, queue, self.wanted, given):
                continue
            found.append(running)
            for resource, amount in self.books.amounts[running.request.id].items():
                given[resource] = given.get(resource, 0) + amount
        return found

    def for_quota(self) -> list[Running] | None:
        """The fewest for the quotas: one that is enough, else the largest first."""
        if self._quota([]):
            return []
        for one in self.candidates:
            if self._quota([one]):
                return [one]
        chosen: list[Running] = []
        size = self.books.amounts
        for one in sorted(self.candidates, key=lambda r: -sum(size[r.request.id].get(k, 0) for k in self.wanted)):
            chosen = self.allowed([*chosen, one])
            if self._quota(chosen):
                return chosen
        return None

    def for_nodes(self, chosen: list[Running]) -> list[Running]:
        """With whoever else must end for room on nodes, the cheapest node first."""
        if self.placed(chosen) is not None:
            return chosen
        by_rank: dict[int, list[Running]] = {}
        for running in self.allowed(self.candidates):
            for placement in running.placements:
                place = self.books.pool.by_name.get(placement.node)
                if place is not None:
                    by_rank.setdefault(place.rank, []).append(running)
        costs = [(cost, rank) for rank, there in by_rank.items() if (cost := self._cost(rank, there)) is not None]
        for (_, _, _, least), _ in sorted(costs, key=lambda found: (found[0][:3], found[1])):
            more = [one for one in least if one not in chosen]
            if self._quota([*chosen, *more]):
                chosen = [*chosen, *more]
            if self.placed(chosen) is not None:
                return chosen
        return chosen

    def _cost(self, rank: int, there: list[Running]) -> tuple[int, int, float, list[Running]] | None:
        """The fewest to end for room on one node: how many, how important, how old, and who."""
        place = self.books.pool.places[rank]
        if not place.usable or place.kept:
            return None
        group = self._least(rank, there)
        if not group:
            return None
        return len(group), max(r.request.priority for r in group), -max(r.started for r in group), group

    def _least(self, rank: int, there: list[Running]) -> list[Running]:
        """The fewest by taking the largest first, then whoever comes earlier in order in place of one that is later."""

        def fits(group: Iterable[Running]) -> bool:
            return self._rooms(group).get(rank, self.books.pool.places[rank].open).fits(self.request.member)

        group: list[Running] = []
        for one in sorted(there, key=lambda r: (-r.request.member.devices, -r.request.member.cpu)):
            if fits(group):
                break
            group.append(one)
        if not fits(group):
            return []
        for one in list(group):
            if fits(rest := [other for other in group if other is not one]):
                group = rest
        for late in reversed([one for one in there if one in group]):
            for early in there[: there.index(late)]:
                swapped = [early if one is late else one for one in group]
                if early not in group and fits(swapped):
                    group = swapped
                    break
        return group
