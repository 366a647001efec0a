"""The inbox: an event's effect and the note that it was heard are one commit, so twice heard is once done.

A handler that fails is tried again later, with growing pauses, and then set aside as a dead letter that an operator
can list and replay.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy import TextClause, bindparam, insert, or_, select, text, tuple_, update

from common.db.tables import Instant, inbox
from common.db.uow import Store, UnitOfWork
from common.kernel.errors import NotFound, Unavailable
from common.kernel.events import CloudEvent, EventData
from common.ports.bus import Subscription
from common.telemetry import figures
from common.telemetry.traces import heard_span

MAX_ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.2
POLL_SECONDS = 1.0
TAKEN_SECONDS = 10.0
"""When whoever took a row for its next try is dead, another takes it after this."""

LONGEST_WAIT = timedelta(seconds=60)
"""Nothing waits so long for its next try: what seems to was noted by a clock that is wrong, or has been set back."""

_DUE = (
    select(inbox.c.handler, inbox.c.event_id)
    .where(inbox.c.state == "retry")
    .where(or_(inbox.c.next_attempt_at <= bindparam("now"), inbox.c.next_attempt_at > bindparam("far")))
    .order_by(inbox.c.next_attempt_at)
)
_ANY_DUE = _DUE.limit(1)
_TAKE = (
    update(inbox)
    .where(tuple_(inbox.c.handler, inbox.c.event_id).in_(_DUE.limit(100).with_for_update(skip_locked=True)))
    .values(next_attempt_at=bindparam("later"))
    .returning(inbox.c.handler, inbox.c.payload, inbox.c.received_at)
)

log = structlog.get_logger("inbox")

D = TypeVar("D", bound=EventData)

# as text, because the built statement would be compiled for every batch
_DONE = """
INSERT INTO inbox (handler, event_id, type, subject, state, attempts, received_at, done_at)
SELECT :handler, {event_id}, {type}, {subject}, 'done', 1, :now, :now FROM {rows} AS row WHERE true
ON CONFLICT (handler, event_id) DO UPDATE
SET state = 'done', done_at = excluded.done_at, payload = NULL, next_attempt_at = NULL
WHERE inbox.state <> 'done' RETURNING event_id
"""
_COLUMNS = ("event_id", "type", "subject")


def _done_by(rows: str, column: str) -> TextClause:
    """Note events as done; gives the ids of those that were not before. `:rows` is JSON, a list of lists."""
    columns = {name: column.format(place) for place, name in enumerate(_COLUMNS)}
    return text(_DONE.format(rows=rows, **columns)).bindparams(bindparam("now", type_=Instant))


_DONE_BY = {
    "sqlite": _done_by("json_each(:rows)", "json_extract(row.value, '$[{}]')"),
    "postgresql": _done_by("jsonb_array_elements(CAST(:rows AS jsonb))", "row.value ->> {}"),
}


@dataclass(frozen=True)
class Heard(Generic[D]):
    """An event as a handler gets it: the typed content with its envelope."""

    data: D
    envelope: CloudEvent


Handler = Callable[[UnitOfWork, Any], Awaitable[None]]
"""`async def on_dataset_online(uow, heard: Heard[DatasetOnline])`. It records intent; loops do slow work."""

Reactions = Mapping[type[EventData], Sequence[Handler]]


@dataclass(frozen=True)
class DeadLetter:
    """An event that a handler could not take, with the last error. `since` is when it was first heard."""

    handler: str
    event: CloudEvent
    attempts: int
    error: str
    since: datetime

    @property
    def place(self) -> DeadPlace:
        """Where it stands in the list."""
        return self.since, self.handler, self.event.id


DeadPlace = tuple[datetime, str, str]
"""Where a dead letter stands in the list: when it was first heard, by which handler, and its event's id."""


class Inbox:
    """What one service hears."""

    def __init__(self, store: Store, service: str, reactions: Reactions) -> None:
        self._store = store
        self._service = service
        self._handlers: dict[str, tuple[Handler, set[str]]] = {}
        self._wake = asyncio.Event()
        for data, handlers in reactions.items():
            for handler in handlers:
                _, types = self._handlers.setdefault(handler.__name__, (handler, set()))
                types.add(data.type)

    def subscriptions(self) -> list[Subscription]:
        """One for each handler."""
        return [
            Subscription(self._service, name, frozenset(types), self._receiver(name))
            for name, (_, types) in self._handlers.items()
        ]

    def _receiver(self, name: str) -> Callable[[Sequence[CloudEvent]], Awaitable[None]]:
        async def receive(events: Sequence[CloudEvent]) -> None:
            await self.receive(name, events)

        return receive

    async def receive(self, name: str, events: Sequence[CloudEvent]) -> None:
        """Take events for a handler; returns when each is done or noted for another try."""
        if len(events) > 1 and await self._all_at_once(name, events):
            return
        for event in events:
            if (error := await self._try(name, event)) is not None:
                await self._note_failure(name, event, error)

    async def _all_at_once(self, name: str, events: Sequence[CloudEvent]) -> bool:
        """The usual case in one commit; False (and nothing done) where any of them fails."""
        try:
            async with self._store.work() as uow:
                await self._handle(uow, name, events)
        except Exception as error:  # noqa: BLE001 - any failure means: take them one by one
            log.info("batch failed, taking events one by one", handler=name, error=repr(error))
            return False
        return True

    async def _try(self, name: str, event: CloudEvent) -> Exception | None:
        try:
            async with self._store.work() as uow:
                await self._handle(uow, name, [event])
        except Exception as error:  # noqa: BLE001 - noted in the inbox row, tried again, then a dead letter
            return error
        return None

    async def _handle(self, uow: UnitOfWork, name: str, events: Sequence[CloudEvent]) -> None:
        handler, _ = self._handlers[name]
        by_id = {event.id: event for event in events}
        new = await self._first_time(uow, name, by_id.values())
        for event in by_id.values():
            if event.id in new:
                uow.actor = event.actor
                with heard_span(f"{self._service} {name}", event):
                    await handler(uow, Heard(event.payload(), event))
                uow.after_commit(partial(figures.handled, self._service, name, event.type))

    async def _first_time(self, uow: UnitOfWork, name: str, events: Iterable[CloudEvent]) -> set[str]:
        """Note the events as done; gives those that were not. A row waiting for its next try counts as not done."""
        rows = json.dumps([[event.id, event.type, event.subject] for event in events])
        values = {"handler": name, "rows": rows, "now": self._store.clock.now()}
        return set((await uow.connection.execute(_DONE_BY[self._store.database.dialect], values)).scalars())

    async def _note_failure(self, name: str, event: CloudEvent, error: Exception) -> None:
        now = self._store.clock.now()
        async with self._store.database.writing() as connection:
            known = select(inbox.c.attempts).where(inbox.c.handler == name, inbox.c.event_id == event.id)
            before = (await connection.execute(known)).scalar_one_or_none()
            attempts = (before or 0) + 1
            values = _failed(attempts, now, error)
            if before is None:
                values |= {
                    "handler": name,
                    "event_id": event.id,
                    "type": event.type,
                    "subject": event.subject,
                    "received_at": now,
                    "payload": event.model_dump_json(exclude_none=True),
                }
                await connection.execute(insert(inbox).values(values))
            else:
                at = (inbox.c.handler == name) & (inbox.c.event_id == event.id)
                await connection.execute(update(inbox).where(at).values(values))
        log.warning(
            "handler failed", handler=name, event_id=event.id, type=event.type, attempts=attempts, error=repr(error)
        )
        self._wake.set()

    async def retry_due(self) -> int:
        """Try again what is due; gives how many were tried. Other instances leave alone what this one has taken."""
        now = self._store.clock.now()
        times = {"now": now, "far": now + LONGEST_WAIT, "later": now + timedelta(seconds=TAKEN_SECONDS)}
        async with self._store.reading() as connection:
            if (await connection.execute(_ANY_DUE, times)).first() is None:
                return 0  # as a rule: nobody who writes has to wait for this look
        async with self._store.database.writing() as connection:
            rows = (await connection.execute(_TAKE, times)).all()
        for row in sorted(rows, key=lambda row: row.received_at):
            await self.receive(row.handler, [CloudEvent.model_validate_json(row.payload)])
        return len(rows)

    async def run(self) -> None:
        """Retry for ever what failed."""
        while True:
            self._wake.clear()
            try:
                if await self.retry_due():
                    continue
            except Unavailable as problem:
                log.warning("retrying waits", reason=problem.detail)
                await self._store.clock.sleep(POLL_SECONDS)
                continue
            except Exception:
                log.exception("retrying failed, goes on")
                await self._store.clock.sleep(POLL_SECONDS)
                continue
            try:
                async with asyncio.timeout(POLL_SECONDS):  # wait_for of Python 3.11 can swallow a cancellation
                    await self._wake.wait()
                await self._store.clock.sleep(FIRST_PAUSE_SECONDS)
            except TimeoutError:
                continue

    async def dead(self, *, after: DeadPlace | None = None, limit: int | None = None) -> list[DeadLetter]:
        """The dead letters, oldest first; those after a place, and not more than `limit`."""
        place = tuple_(inbox.c.received_at, inbox.c.handler, inbox.c.event_id)
        rows = select(inbox).where(inbox.c.state == "dead").order_by(*place.clauses).limit(limit)
        if after is not None:
            rows = rows.where(place > after)
        async with self._store.reading() as connection:
            found = (await connection.execute(rows)).all()
        return [
            DeadLetter(
                row.handler, CloudEvent.model_validate_json(row.payload), row.attempts, row.error, row.received_at
            )
            for row in found
        ]

    async def replay(self, handler: str, event_id: str) -> None:
        """Give a dead letter another series of tries. Raises NotFound (`dead_letter_not_found`)."""
        at = (inbox.c.handler == handler) & (inbox.c.event_id == event_id) & (inbox.c.state == "dead")
        async with self._store.database.writing() as connection:
            done = await connection.execute(
                update(inbox).where(at).values(state="retry", attempts=0, next_attempt_at=self._store.clock.now())
            )
        if not done.rowcount:
            raise NotFound("dead_letter_not_found", f"{handler} has no dead letter {event_id}.")
        self._wake.set()

    async def replay_all(self) -> list[tuple[str, str]]:
        """Give every dead letter another series of tries; gives handler and event id of each."""
        again = {"state": "retry", "attempts": 0, "next_attempt_at": self._store.clock.now()}
        every = update(inbox).where(inbox.c.state == "dead").values(again).returning(inbox.c.handler, inbox.c.event_id)
        async with self._store.database.writing() as connection:
            replayed = [(row.handler, row.event_id) for row in await connection.execute(every)]
        self._wake.set()
        return replayed


def _failed(attempts: int, now: datetime, error: Exception) -> dict[str, Any]:
    """What a failed try leaves in the row: a later try, or a dead letter."""
    dead = attempts >= MAX_ATTEMPTS
    pause = FIRST_PAUSE_SECONDS * 4 ** (attempts - 1) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
    return {
        "state": "dead" if dead else "retry",
        "attempts": attempts,
        "next_attempt_at": None if dead else now + timedelta(seconds=pause),
        "error": repr(error)[:2000],
    }
