"""Whether a request could ever begin, and the largest like it that could: of an empty cluster, cordoned nodes too."""

from __future__ import annotations

from train_svc.domain.scheduling.books import Books
from train_svc.domain.scheduling.pool import empty_room
from train_svc.domain.scheduling.room import Room
from train_svc.domain.scheduling.values import Member, Request, demand


def refusal(books: Books, request: Request) -> str | None:
    """Why it can never begin; None where it can."""
    if request.queue not in books.quotas.queues:
        return f"There is no queue {request.queue!r}."
    wanted = demand(request.member, request.gang)
    for account in books.quotas.of(request.queue, request.user):
        for resource, limit in account.limit.items():
            if wanted.get(resource, 0) > limit:
                whose = account.title or account.name
                return f"It asks for {wanted[resource]} of {resource}; the {whose} may use {limit} at most."
    if not _ever(books, request):
        nodes = "no node could" if request.gang == 1 else f"there are no {request.gang} nodes that could"
        return f"Of all that there is, {nodes} take it."
    return None


def _ever(books: Books, request: Request) -> bool:
    """Whether enough nodes could take a member; remembered by what is asked, until nodes change."""
    key = (request.member, request.gang, request.selectors)
    known = books.fits_ever.get(key)
    if known is None:
        there = sum(1 for room in _rooms(books, request) if room.fits(request.member))
        known = books.fits_ever[key] = there >= request.gang
    return known


def _rooms(books: Books, request: Request) -> list[Room]:
    """The rooms of the nodes that its selectors allow, with nothing on them."""
    return [
        empty_room(place.node)
        for place in books.pool.places
        if all(place.node.labels.get(key) == value for key, value in request.selectors)
    ]


def largest(books: Books, request: Request) -> tuple[Member, int] | None:
    """The largest member and gang of its kind that could begin some day; None where there is nothing of that kind.

    It keeps what each member asks for and has fewer of them where it can; else each member has less.
    """
    if request.queue not in books.quotas.queues:
        return None
    rooms, member = _rooms(books, request), request.member
    gang = min(request.gang, sum(1 for room in rooms if room.fits(member)))
    if not gang:
        best = max(rooms, key=lambda room: (count(room, member), room.cpu, room.memory), default=None)
        if best is None or (member.devices and not count(best, member)):
            return None
        member = member._replace(
            cpu=min(member.cpu, best.cpu),
            memory=min(member.memory, best.memory),
            devices=min(member.devices, count(best, member)),
        )
        gang = 1
    return _within(books, request, member, gang)


def count(room: Room, member: Member) -> int:
    """How many free devices there are of the wanted kind and model."""
    there = zip(room.models, room.counts, strict=True)
    return sum(n for model, n in there if model[0] == member.kind and member.model in (None, model[1]))


def _within(books: Books, request: Request, member: Member, gang: int) -> tuple[Member, int] | None:
    """As many members as quotas allow, or one that is as large as they allow."""
    limits: dict[str, int] = {}
    for account in books.quotas.of(request.queue, request.user):
        for resource, limit in account.limit.items():
            limits[resource] = min(limit, limits.get(resource, limit))
    one = demand(member, 1)
    most = min([gang, *(limits[r] // n for r, n in one.items() if n and r in limits)])
    if most:
        return member, most
    kind = member.kind or ""
    less = member._replace(
        cpu=min(member.cpu, limits.get("cpu", member.cpu)),
        memory=min(member.memory, limits.get("memory", member.memory)),
        devices=min(member.devices, limits.get(kind, member.devices)),
    )
    wanted = all(now or not asked for now, asked in ((less.devices, member.devices), (less.cpu, member.cpu)))
    return (less, 1) if wanted else None
