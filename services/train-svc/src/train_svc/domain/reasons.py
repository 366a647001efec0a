"""Why a request waits, for whoever asks: in their units, naming only what they may see, and as sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from train_svc.domain.asking import MILLI
from train_svc.domain.queues import told
from train_svc.domain.scheduling.explaining import why
from train_svc.domain.scheduling.planner import State
from train_svc.domain.scheduling.values import Quota
from train_svc.domain.words import bytes_in_words

Sees = Callable[[str], bool]
"""Whether who asks may see what this user owns."""


@dataclass(frozen=True)
class Limit:
    """A quota that it runs into: of `limit`, `free` is left where `asked` is wanted."""

    account: str
    resource: str
    limit: float
    free: float
    asked: float


@dataclass(frozen=True)
class Lack:
    """What a node lacks that would do best."""

    node: str
    lacks: dict[str, float]


@dataclass(frozen=True)
class Reasons:
    """Why a request waits. Position 0 has its capacity kept for it already, and begins when `holders` are gone.

    `fitting` of `wanted` nodes have room now. `holders` would have to end, `kept_for` are those whose reservation is in
    the way; of both, those that may not be seen are only counted. `start` is when it begins at the latest.
    """

    position: int
    queue: str
    wanted: int
    fitting: int
    lacks: tuple[Lack, ...]
    quotas: tuple[Limit, ...]
    kept_for: tuple[str, ...]
    kept_for_others: int
    holders: tuple[str, ...]
    other_holders: int
    start: datetime | None


def reasons(state: State, request_id: str, now: float, sees: Sees) -> Reasons | None:
    """Why it waits; None where it does not (any more)."""
    books = state.books
    request = books.claimed.get(request_id) or books.lines.requests.get(request_id)
    if request is None:
        return None
    found = why(state, request_id, now)
    users = {**{one.id: one.user for one in books.lines.requests.values()}} if found.kept_for else {}
    users |= {one.id: one.user for one in books.claimed.values()}
    kept, others_kept = _seen(found.kept_for, lambda one: sees(users.get(one, "")))
    holders, others = _seen(found.holders, lambda one: sees(books.running[one].request.user))
    return Reasons(
        found.position,
        request.queue,
        found.wanted,
        found.fitting,
        tuple(Lack(node, told(amounts)) for node, amounts in found.lacks),
        tuple(_limit(quota) for quota in found.quotas),
        kept,
        others_kept,
        holders,
        others,
        None if found.start is None else datetime.fromtimestamp(found.start, UTC),
    )


def _seen(ids: Iterable[str], sees: Callable[[str], bool]) -> tuple[tuple[str, ...], int]:
    known = list(ids)
    mine = tuple(one for one in known if sees(one))
    return mine, len(known) - len(mine)


def _limit(quota: Quota) -> Limit:
    amounts = {
        name: told({quota.resource: getattr(quota, name)})[quota.resource] for name in ("limit", "free", "asked")
    }
    return Limit(quota.account, quota.resource, **amounts)


def sentences(found: Reasons) -> list[str]:
    """The same as a person would say it."""
    said = [_place(found)]
    said += [
        f"The {one.account} may use {_amount(one.resource, one.limit)} in all; {_amount(one.resource, one.free)} is "
        f"left, and it needs {_amount(one.resource, one.asked)}."
        for one in found.quotas
    ]
    if found.fitting < found.wanted:
        nodes = "a node" if found.wanted == 1 else f"{found.wanted} nodes"
        said.append(
            f"It needs room on {nodes}; {found.fitting or 'none'} {'has' if found.fitting < 2 else 'have'} it now."
        )
    said += [f"{one.node} lacks {_listed(_amount(r, n) for r, n in one.lacks.items())}." for one in found.lacks]
    if found.kept_for or found.kept_for_others:
        said.append(f"Capacity is kept for {_people(found.kept_for, found.kept_for_others)}.")
    if found.holders or found.other_holders:
        said.append(f"For it to begin, {_people(found.holders, found.other_holders)} would have to end.")
    if found.start is None:
        said.append("When it begins nobody can tell: what is in its way has no time limit, or others come first.")
    else:
        said.append(f"It begins at {found.start:%Y-%m-%d %H:%M} UTC at the latest, if nothing more important comes.")
    return said


def _place(found: Reasons) -> str:
    if found.position == 0:
        return "Its capacity is kept for it: it begins as soon as those that were told to end for it are gone."
    return f"It waits in the queue {found.queue}, at position {found.position} of all that wait."


def _people(seen: tuple[str, ...], others: int) -> str:
    more = [f"{others} workload{'' if others == 1 else 's'} of others"] if others else []
    return _listed([*seen, *more])


def _amount(resource: str, amount: float) -> str:
    if resource == "memory":
        return f"{bytes_in_words(int(amount))} of memory"
    if resource == "cpu":
        return f"{round(amount * MILLI) / MILLI:g} CPU{'' if amount == 1 else 's'}"
    return f"{amount:g} {resource.upper()}{'' if amount == 1 else 's'}"


def _listed(words: Iterable[str]) -> str:
    parts = list(words)
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
