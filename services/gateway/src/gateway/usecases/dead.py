"""Dead letters of all services, as one list.

A service that does not answer is named: what the others have is still worth seeing, and replaying.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import defaultdict
from collections.abc import Sequence

from pydantic import ValidationError

from common.kernel.errors import BadRequest, BadUpstream, NotFound, Problem
from common.web.dead import Letters, NotReplayed, Replayed
from gateway.schemas import AllLetters, Unanswered
from gateway.usecases.asking import Asking

PATH = "dead-letters"
REPLAY_SECONDS = 60.0


async def dead_letters(asking: Asking, limit: int, cursor: str | None = None, service: str | None = None) -> AllLetters:
    """A page of them, service by service, oldest first in each; or those of one service.

    Raises BadRequest (`bad_cursor`), NotFound (`no_such_service`).
    """
    first, inner = _read(cursor)
    names = [name for name in _asked(asking, service) if name >= first]
    found = await asyncio.gather(
        *(_page(asking, name, limit, inner if name == first else None) for name in names), return_exceptions=True
    )
    told = AllLetters()
    for name, page in zip(names, found, strict=True):
        after = inner if name == first else None
        room = limit - len(told.items)
        if isinstance(page, Letters) and page.items and not room:
            told.next_cursor = _written(name, after)
            break
        if isinstance(page, Letters) and len(page.items) > room:
            page = await _page_or_problem(asking, name, room, after)
        if isinstance(page, Problem):
            told.unavailable.append(Unanswered(service=name, reason=page.detail))
            continue
        if isinstance(page, BaseException):
            raise page
        told.items += page.items
        if page.unavailable:
            told.unavailable.append(Unanswered(service=name, reason=page.unavailable))
        if page.next_cursor:
            told.next_cursor = _written(name, page.next_cursor)
            break
    return told


async def replay(asking: Asking, ids: Sequence[str]) -> Replayed:
    """Give each back to its handler, at its service."""
    of_service: dict[str, list[str]] = defaultdict(list)
    for one in dict.fromkeys(ids):
        of_service[one.partition(".")[0]].append(one)
    done = await asyncio.gather(*(_replay(asking, name, some) for name, some in of_service.items()))
    return _together(done)


async def replay_all(asking: Asking, service: str | None = None) -> Replayed:
    """Give all back to their handlers; or those of one service. Raises NotFound (`no_such_service`)."""
    return _together(await asyncio.gather(*(_replay(asking, name, None) for name in _asked(asking, service))))


async def _replay(asking: Asking, service: str, ids: Sequence[str] | None) -> Replayed:
    try:
        if service not in asking.services:
            raise NotFound(
                "dead_letter_not_found", f"There is no service {service[:80]}. `yard events dead` lists them."
            )
        wanted = {"all": True} if ids is None else {"ids": ids}
        return Replayed.model_validate(await asking.of(service, f"{PATH}/replay", post=wanted, seconds=REPLAY_SECONDS))
    except ValidationError:
        problem: Problem = _not_agreed(service)
    except Problem as told:
        problem = told
    failed = [service] if ids is None else ids
    return Replayed(
        replayed=[], failed=[NotReplayed(id=one, code=problem.code, detail=problem.detail) for one in failed]
    )


def _together(done: Sequence[Replayed]) -> Replayed:
    return Replayed(
        replayed=[one for part in done for one in part.replayed], failed=[one for part in done for one in part.failed]
    )


def _asked(asking: Asking, service: str | None) -> list[str]:
    if service is None:
        return asking.services
    if service not in asking.services:
        known = ", ".join(asking.services)
        raise NotFound("no_such_service", f"There is no service {service[:80]}. There are {known}.")
    return [service]


async def _page(asking: Asking, service: str, limit: int, cursor: str | None) -> Letters:
    query = {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
    try:
        return Letters.model_validate(await asking.of(service, PATH, query))
    except ValidationError as error:
        raise _not_agreed(service) from error


async def _page_or_problem(asking: Asking, service: str, limit: int, cursor: str | None) -> Letters | Problem:
    try:
        return await _page(asking, service, limit, cursor)
    except Problem as problem:
        return problem


def _not_agreed(service: str) -> Problem:
    return BadUpstream("bad_answer", f"The answer of {service} can't be understood: is it of another version?")


def _written(service: str, cursor: str | None) -> str:
    return base64.urlsafe_b64encode(json.dumps([service, cursor]).encode()).decode().rstrip("=")


def _read(cursor: str | None) -> tuple[str, str | None]:
    """The service where a list goes on, and its own cursor."""
    if cursor is None:
        return "", None
    try:
        service, inner = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return str(service), None if inner is None else str(inner)
    except (ValueError, TypeError) as error:
        raise BadRequest("bad_cursor", "The cursor is not one that a list gave. Start without it.") from error
