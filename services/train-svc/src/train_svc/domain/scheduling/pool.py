"""All nodes, kept in order of what fits where, so that placing costs by how many kinds of room there are, not nodes.

Nodes with equal room share a bucket. A member's shape has its list of fitting buckets, tightest first; and a list of
when each node will have room for it, brought up to date only for nodes that changed since it was last looked at.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from train_svc.domain.scheduling.room import Place, Room, natural, place_of
from train_svc.domain.scheduling.values import Member, Node, Request

_LOG = 200_000


@dataclass(eq=False)
class Timeline:
    """When nodes have room for one shape: (time, parts to end until then, rank), soonest first."""

    order: list[tuple[float, int, int]] = field(default_factory=list)
    at: dict[int, tuple[float, int, int]] = field(default_factory=dict)
    seen: int = 0


class Pool:
    """The nodes of a state."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        ordered = sorted(nodes, key=lambda node: (natural(node.domain), natural(node.name)))
        domains: dict[str, int] = {}
        self.places = [
            place_of(node, rank, domains.setdefault(node.domain, len(domains))) for rank, node in enumerate(ordered)
        ]
        self.by_name = {place.node.name: place for place in self.places}
        self.capacity: Counter[str] = Counter()
        self._bounds = [0] * (len(domains) + 1)
        for place in self.places:
            self._bounds[place.domain + 1] = place.rank + 1
            self.capacity["cpu"] += place.node.cpu
            self.capacity["memory"] += place.node.memory
            self.capacity.update(device.kind for device in place.node.devices)
        self._buckets: dict[Room, list[int]] = {}
        self._domains: dict[Room, Counter[int]] = {}
        self._fits: dict[Member, list[tuple[tuple[int, int, int], Room]]] = {}
        self._eligible: dict[tuple[tuple[tuple[str, str], ...], frozenset[str], Member, int], frozenset[int] | None]
        self._eligible = {}
        self._timelines: dict[Member, Timeline] = {}
        self._log: list[int] = []
        self.version = 0
        for place in self.places:
            self._enter(place)

    def changed(self, place: Place) -> None:
        """A node's room or usability is not what it was."""
        self._log.append(place.rank)
        if len(self._log) > _LOG:
            self._log.clear()
            self._timelines.clear()
        wanted = place.open if place.usable and not place.kept else None
        if place.bucket != wanted:
            self._leave(place)
            self._enter(place)

    def replace(self, place: Place, node: Node, *, lost: bool) -> None:
        """The same machine with other labels, cordoned, lost or found again."""
        place.node, place.lost = node, lost
        self._eligible.clear()
        self.version += 1
        self.changed(place)

    def keep(self, place: Place, kept: bool) -> None:
        """Put a node aside for a reservation, or back."""
        place.kept = kept
        self.changed(place)

    def _enter(self, place: Place) -> None:
        if not place.usable or place.kept:
            return
        place.bucket = room = place.open
        ranks = self._buckets.get(room)
        if ranks is None:
            if len(self._buckets) > 64 and len(self._buckets) > 2 * sum(1 for b in self._buckets.values() if b):
                self._tidy()
            ranks = self._buckets[room] = []
            self._domains[room] = Counter()
            for member, fits in self._fits.items():
                if room.fits(member):
                    insort(fits, (room.tightness, room))
        insort(ranks, place.rank)
        self._domains[room][place.domain] += 1

    def _leave(self, place: Place) -> None:
        if place.bucket is None:
            return
        ranks, domains = self._buckets[place.bucket], self._domains[place.bucket]
        del ranks[bisect_left(ranks, place.rank)]
        domains[place.domain] -= 1
        if not domains[place.domain]:
            del domains[place.domain]
        place.bucket = None

    def _tidy(self) -> None:
        for room in [room for room, ranks in self._buckets.items() if not ranks]:
            del self._buckets[room], self._domains[room]
        self._fits.clear()

    def fitting(self, member: Member) -> Iterator[Room]:
        """The rooms that some open node has and the member fits into, tightest first."""
        fits = self._fits.get(member)
        if fits is None:
            fits = sorted((room.tightness, room) for room in self._buckets if room.fits(member))
            self._fits[member] = fits
        return (room for _, room in fits if self._buckets[room])

    def eligible(self, request: Request) -> frozenset[int] | None:
        """Ranks of the nodes that its selectors and its memory of failed nodes allow; None for all."""
        if not request.selectors and not request.avoid:
            return None
        key = (request.selectors, request.avoid, request.member, request.gang)
        if key not in self._eligible:
            allowed = [p for p in self.places if all(p.node.labels.get(k) == v for k, v in request.selectors)]
            others = [p for p in allowed if p.node.name not in request.avoid]
            able = sum(1 for p in others if empty_room(p.node).fits(request.member))
            chosen = others if able >= request.gang else allowed
            self._eligible[key] = frozenset(place.rank for place in chosen)
        return self._eligible[key]

    def find(
        self, request: Request, allowed: frozenset[int] | None, barred: Iterable[int], extra: Sequence[Place] = ()
    ) -> list[Place] | None:
        """Open nodes for all members, or None: the tightest, a gang within one domain if it can be.

        `extra` are nodes that are kept for others and may be used by this one all the same; they come last.
        """
        if request.gang > 1:
            return self._gang(request, allowed, frozenset(barred), extra)
        for room in self.fitting(request.member):
            for rank in self._buckets[room]:
                if (allowed is None or rank in allowed) and rank not in barred:
                    return [self.places[rank]]
        return [extra[0]] if extra else None

    def _gang(
        self, request: Request, allowed: frozenset[int] | None, barred: frozenset[int], extra: Sequence[Place]
    ) -> list[Place] | None:
        rooms = list(self.fitting(request.member))
        if allowed is None and not barred:
            counts: Counter[int] = Counter()
            for room in rooms:
                counts.update(self._domains[room])
        else:
            counts = Counter(
                self.places[rank].domain
                for room in rooms
                for rank in self._buckets[room]
                if (allowed is None or rank in allowed) and rank not in barred
            )
        if counts.total() + len(extra) < request.gang:
            return None
        chosen: list[Place] = []
        for domain in _domains_for(counts, request.gang):
            for room in rooms:
                ranks = self._buckets[room]
                low, high = bisect_left(ranks, self._bounds[domain]), bisect_left(ranks, self._bounds[domain + 1])
                for rank in ranks[low:high]:
                    if (allowed is None or rank in allowed) and rank not in barred:
                        chosen.append(self.places[rank])
                        if len(chosen) == request.gang:
                            return chosen
        return [*chosen, *extra][: request.gang] if len(chosen) + len(extra) >= request.gang else None

    def soonest(self, member: Member) -> list[tuple[float, int, int]]:
        """When each node has room for the member at the latest, soonest first: (time, parts to end, rank)."""
        line = self._timelines.get(member)
        if line is None:
            line = self._timelines[member] = Timeline(seen=len(self._log))
            dirty: Iterable[int] = range(len(self.places))
        else:
            dirty = set(self._log[line.seen :])
            line.seen = len(self._log)
        fresh = len(line.at) == 0
        for rank in dirty:
            place = self.places[rank]
            old = line.at.pop(rank, None)
            if old is not None:
                del line.order[bisect_left(line.order, old)]
            when = place.when(member) if place.usable else None
            if when is not None:
                line.at[rank] = (*when, rank)
                if fresh:
                    line.order.append(line.at[rank])
                else:
                    insort(line.order, line.at[rank])
        if fresh:
            line.order.sort()
        return line.order


def empty_room(node: Node) -> Room:
    """A node's room with nothing on it."""
    counts = Counter((device.kind, device.model) for device in node.devices)
    models = tuple(sorted(counts))
    return Room(node.cpu, node.memory, models, tuple(counts[model] for model in models))


def _domains_for(counts: Counter[int], gang: int) -> list[int]:
    """The domains to fill: the tightest that takes the whole gang, else the widest first."""
    whole = [(n, domain) for domain, n in counts.items() if n >= gang]
    if whole:
        return [min(whole)[1]]
    return [domain for _, domain in sorted((-n, domain) for domain, n in counts.items())]
