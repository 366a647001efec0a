"""Why a request waits: its place, what is missing where, what holds it, who would have to end, and when it begins."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial

from train_svc.domain.scheduling import fitting
from train_svc.domain.scheduling.planner import State
from train_svc.domain.scheduling.room import Place
from train_svc.domain.scheduling.values import Amounts, Member, Request, Why, demand
from train_svc.domain.scheduling.walk import Walk


def largest(state: State, request: Request) -> tuple[Member, int] | None:
    """The largest member and gang of that kind that could ever begin; None where there is nothing of the kind."""
    return fitting.largest(state.books, request)


def why(state: State, request_id: str, now: float) -> Why:
    """Why it waits. Raises KeyError where no such request waits."""
    books = state.books
    claim = books.claims.get(request_id)
    if claim is not None:
        request = books.claimed[request_id]
        nodes = len(claim.takes)
        return Why(0, nodes, request.gang, holders=tuple(sorted(claim.victims)), start=now + books.policy.grace)
    request = books.lines.requests[request_id]
    wanted = demand(request.member, request.gang)
    accounts = books.quotas.of(request.queue, request.user)
    quotas = tuple(short for account in accounts for short in account.short(wanted))
    places = _places(state, request)
    fitting_now = [place for place in places if place.open.fits(request.member)]
    reserve = books.reserved.get(request_id)
    start = reserve.start if reserve is not None and reserve.start < float("inf") else None
    return Why(
        position(state, request_id, now),
        len(fitting_now),
        request.gang,
        _lacks(places, request),
        quotas,
        _kept_for(state, request, places),
        _holders(state, request, places, bool(quotas)),
        start,
    )


def position(state: State, request_id: str, now: float) -> int:
    """Its place among those that wait, from 1; whoever has a claim is before them all."""
    walk, books = Walk(state.books, now), state.books
    mine = books.lines.requests[request_id]
    own = books.lines.line_of(mine)
    target = walk.key(own, (mine.submitted, mine.id))
    ahead = sum(bisect_left(line.waiting, target, key=partial(walk.key, line)) for line in books.lines)
    return len(books.claims) + ahead + 1


def order(state: State, now: float) -> list[str]:
    """All that wait, as they stand in line: first those with claims, whose capacity is kept for them."""
    walk, books = Walk(state.books, now), state.books
    keyed = [(walk.key(line, who), who[1]) for line in books.lines for who in line.waiting]
    return [*sorted(books.claims), *(request_id for _, request_id in sorted(keyed))]


def _places(state: State, request: Request) -> list[Place]:
    """The nodes that it may use, those that could take a member first."""
    pool = state.books.pool
    allowed = pool.eligible(request)
    barred = state.books.affinity.get(request.anti_affinity or "", ())
    return [
        place
        for place in pool.places
        if place.usable and (allowed is None or place.rank in allowed) and place.rank not in barred
    ]


def _lacks(places: list[Place], request: Request) -> tuple[tuple[str, Amounts], ...]:
    """What the best nodes without room lack, as many as are needed, least lacking first."""
    found = []
    for place in places:
        room, member = place.open, request.member
        if room.fits(member):
            continue
        there = fitting.count(room, member)
        gaps = {"cpu": member.cpu - room.cpu, "memory": member.memory - room.memory}
        if member.kind is not None:
            gaps[member.kind] = member.devices - there
        lacking = {resource: gap for resource, gap in gaps.items() if gap > 0}
        found.append((lacking.get(member.kind or "", 0), len(lacking), place.node.name, lacking))
    found.sort(key=lambda gap: gap[:3])
    return tuple((name, lacking) for _, _, name, lacking in found[: request.gang])


def _kept_for(state: State, request: Request, places: list[Place]) -> tuple[str, ...]:
    """Whose reservation or claim is on what it could use."""
    names = {place.node.name for place in places}
    accounts = {account.name for account in state.books.quotas.of(request.queue, request.user)}
    others = {
        reserve.id
        for reserve in state.books.reserved.values()
        if reserve.id != request.id and (names.intersection(reserve.nodes) or accounts.intersection(reserve.quotas))
    }
    others |= {
        claim.request for claim in state.books.claims.values() if any(take.node in names for take in claim.takes)
    }
    return tuple(sorted(others))


def _holders(state: State, request: Request, places: list[Place], quota: bool) -> tuple[str, ...]:
    """Who would have to end: of its quota's users those that end first, and of each of its nodes."""
    found: set[str] = set()
    wanted = demand(request.member, request.gang)
    for account in state.books.quotas.of(request.queue, request.user) if quota else ():
        freed: dict[str, int] = {}
        for _, workload in account.ends:
            if not account.short(wanted, freed):
                break
            found.add(workload)
            for resource, amount in state.books.amounts[workload].items():
                freed[resource] = freed.get(resource, 0) + amount
    ranks = {place.rank for place in places}
    soonest = [when for when in state.books.pool.soonest(request.member) if when[2] in ranks][: request.gang]
    for _, steps, rank in soonest:
        found.update(part.id for part in state.books.pool.places[rank].parts[:steps])
    return tuple(sorted(found))
