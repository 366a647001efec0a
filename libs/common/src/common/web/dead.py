"""Dead letters, for operators: every service lists and replays those of its own inbox and of its queues in the broker.

The first are events that a handler failed on again and again; the second never got so far. The gateway shows those of
all services together.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

import structlog
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from common.db.inbox import DeadLetter, DeadPlace, Inbox
from common.kernel.errors import BadRequest, NotFound, Problem
from common.kernel.events import CloudEvent
from common.ports.bus import BusUnavailable
from common.ports.dead import DeadDeliveries, DeadDelivery
from common.web.access import Permission, permits
from common.web.identity import Caller

IN_BROKER = "dead."
"""How the last part of a letter's id begins where the broker has it, as its queue's name ends in `.dead`."""

log = structlog.get_logger("dead letters")


class Letter(BaseModel):
    """A dead letter. `id` is `<service>.<handler>.<event id>`, with `dead.` before the last where the broker has it."""

    id: str
    service: str
    handler: str
    kept: Literal["inbox", "broker"]
    event_id: str | None = None
    type: str | None = None
    subject: str | None = None
    attempts: int | None = None
    error: str
    since: datetime | None = None
    advice: str


class Letters(BaseModel):
    """A part of the list, oldest first. `unavailable` says why those in the broker can't be told now."""

    items: list[Letter]
    next_cursor: str | None = None
    unavailable: str | None = None


class Replay(BaseModel):
    """Which to replay: some by their ids, or all."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] = Field(default_factory=list, max_length=1000)
    all: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Replay:
        if bool(self.ids) == self.all:
            raise ValueError("give either ids, or all as true")
        return self


class NotReplayed(BaseModel):
    """Why one was not replayed; `id` is a service's name where none of its letters could be."""

    id: str
    code: str
    detail: str


class Replayed(BaseModel):
    """What was given back to its handler, and what was not."""

    replayed: list[str]
    failed: list[NotReplayed]


class DeadLetters:
    """Both kinds of dead letters of one service. `broker` is None where the bus keeps none."""

    def __init__(self, service: str, inbox: Inbox, broker: DeadDeliveries | None) -> None:
        self._service = service
        self._inbox = inbox
        self._broker = broker
        self._queues = {one.queue: one.handler for one in inbox.subscriptions()} if broker else {}

    async def page(self, limit: int, cursor: str | None = None) -> Letters:
        """Those of the inbox, then those of the broker. Raises BadRequest (`bad_cursor`)."""
        at = _Cursor.read(cursor)
        letters: list[Letter] = []
        if at.broker is None:
            found = await self._inbox.dead(after=at.inbox, limit=limit + 1)
            letters = [self._of_inbox(one) for one in found[:limit]]
            if len(found) > limit:
                return Letters(items=letters, next_cursor=_Cursor(inbox=found[limit - 1].place).text())
        rest, trouble = await self._in_broker()
        rest = [one for one in rest if _order(one) > (at.broker or "")]
        shown = rest[: limit - len(letters)]
        last = _order(shown[-1]) if shown else at.broker or ""
        more = _Cursor(broker=last).text() if len(rest) > len(shown) else None
        return Letters(items=[*letters, *shown], next_cursor=more, unavailable=trouble)

    async def replay(self, ids: Sequence[str]) -> Replayed:
        """Give each another series of tries."""
        told = Replayed(replayed=[], failed=[])
        for letter in dict.fromkeys(ids):
            try:
                await self._replay_one(letter)
                told.replayed.append(letter)
            except Problem as problem:
                told.failed.append(NotReplayed(id=letter, code=problem.code, detail=problem.detail))
        return told

    async def replay_all(self) -> Replayed:
        """Give all that there are now another series of tries."""
        told = Replayed(
            replayed=[f"{self._service}.{handler}.{event}" for handler, event in await self._inbox.replay_all()],
            failed=[],
        )
        for queue in self._queues:
            assert self._broker is not None
            try:
                told.replayed += [f"{queue}.{IN_BROKER}{one}" for one in await self._broker.replay(queue)]
            except BusUnavailable as problem:
                told.failed.append(NotReplayed(id=queue, code=problem.code, detail=problem.detail))
        return told

    async def _replay_one(self, letter: str) -> None:
        service, _, rest = letter.partition(".")
        handler, _, name = rest.partition(".")
        if service != self._service or not name:
            raise _no_letter(letter)
        if not name.startswith(IN_BROKER):
            await self._inbox.replay(handler, name)
            return
        queue = f"{service}.{handler}"
        wanted = [name.removeprefix(IN_BROKER)]
        if self._broker is None or queue not in self._queues or not await self._broker.replay(queue, wanted):
            raise _no_letter(letter)

    async def _in_broker(self) -> tuple[list[Letter], str | None]:
        """Those that the broker has, oldest first, and why they can't be told."""
        found: list[Letter] = []
        for queue, handler in self._queues.items():
            assert self._broker is not None
            try:
                found += [self._of_broker(handler, one) for one in await self._broker.list(queue)]
            except BusUnavailable as problem:
                return sorted(found, key=_order), problem.detail
        return sorted(found, key=_order), None

    def _of_inbox(self, letter: DeadLetter) -> Letter:
        return Letter(
            id=f"{self._service}.{letter.handler}.{letter.event.id}",
            service=self._service,
            handler=letter.handler,
            kept="inbox",
            event_id=letter.event.id,
            type=letter.event.type,
            subject=letter.event.subject,
            attempts=letter.attempts,
            error=letter.error,
            since=letter.since,
            advice=f"Mend what {letter.handler} fails on, then replay it: it gets {letter.attempts} more tries.",
        )

    def _of_broker(self, handler: str, delivery: DeadDelivery) -> Letter:
        event = _event_in(delivery.body)
        return Letter(
            id=f"{delivery.queue}.{IN_BROKER}{delivery.id}",
            service=self._service,
            handler=handler,
            kept="broker",
            event_id=event.id if event else None,
            type=event.type if event else None,
            subject=event.subject if event else None,
            error=delivery.reason if event else f"{delivery.reason}: its content is no event",
            since=delivery.since,
            advice=_ADVICE.get(delivery.reason, _ADVICE[""]) if event else _NO_EVENT,
        )


_ADVICE: Mapping[str, str] = {
    "rejected": "The inbox could not store it. The service's log says why; mend it, then replay.",
    "delivery_limit": "The service died of it again and again. Mend the service, then replay.",
    "": "Look for it in the service's log; mend what is wrong there, then replay.",
}
_NO_EVENT = "Only the services may publish to the exchange: find out who else does. Replaying does not help."


class _Cursor(BaseModel):
    """Where a list goes on: after a letter of the inbox, or after one of the broker."""

    inbox: DeadPlace | None = None
    broker: str | None = None

    @classmethod
    def read(cls, text: str | None) -> _Cursor:
        if text is None:
            return cls()
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError as error:
            raise BadRequest("bad_cursor", "The cursor is not one that a list gave. Start without it.") from error

    def text(self) -> str:
        told = json.dumps(self.model_dump(mode="json", exclude_none=True)).encode()
        return base64.urlsafe_b64encode(told).decode().rstrip("=")


def _order(letter: Letter) -> str:
    """Oldest first; one of unknown age comes before all."""
    return f"{letter.since.isoformat() if letter.since else ''} {letter.id}"


def _event_in(body: bytes) -> CloudEvent | None:
    try:
        return CloudEvent.model_validate_json(body)
    except ValidationError:
        return None


def _no_letter(letter: str) -> NotFound:
    return NotFound("dead_letter_not_found", f"There is no dead letter {letter[:200]}. `yard events dead` lists them.")


def dead_letter_routes(letters: DeadLetters) -> APIRouter:
    """`GET /dead-letters` and `POST /dead-letters/replay`, for administrators."""
    router = APIRouter(tags=["dead letters"])

    @router.get("/dead-letters", **permits(Permission.ADMIN))
    async def list_letters(
        limit: Annotated[int, Query(ge=1, le=500, description="How many at the most")] = 50,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    ) -> Letters:
        """Events that this service could not take, oldest first, and what to do about each."""
        return await letters.page(limit, cursor)

    @router.post("/dead-letters/replay", **permits(Permission.ADMIN))
    async def replay(who: Caller, wanted: Replay) -> Replayed:
        """Give some or all of them back to their handlers, for another series of tries."""
        told = await (letters.replay_all() if wanted.all else letters.replay(wanted.ids))
        log.info("dead letters replayed", by=who.id, replayed=told.replayed, failed=[one.id for one in told.failed])
        return told

    return router
