"""The unit of work: one transaction, and the events and wake-ups that go with it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import Executable, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.database import Database, may_lock
from common.db.direct import Direct
from common.db.postgres import Crossed
from common.db.tables import outbox, sequences
from common.kernel.clock import Clock
from common.kernel.events import CloudEvent, EventData
from common.kernel.ids import new_id
from common.telemetry import figures

T = TypeVar("T")

TRIES = 3
"""How often a transaction is tried that crosses others'."""

log = structlog.get_logger("database")

_PROPAGATOR = TraceContextTextMapPropagator()

# as text, because both dialects read it alike and the built statement would be compiled for every event
_COUNT = """
INSERT INTO sequences (subject, value) SELECT {subject}, {times} FROM {rows} AS row WHERE true ORDER BY 1
ON CONFLICT (subject) DO UPDATE SET value = sequences.value + excluded.value RETURNING subject, value
"""
_COUNT_IN = {
    "sqlite": Direct(text(_COUNT.format(subject="row.key", times="row.value", rows="json_each(:counts)"))),
    "postgresql": Direct(
        text(
            _COUNT.format(
                subject="row.key",
                times="CAST(row.value AS bigint)",
                rows="jsonb_each_text(CAST(:counts AS jsonb))",
            )
        )
    ),
}

_TELL = Direct(insert(outbox))
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


async def count_of(connection: AsyncConnection, name: str) -> int:
    """How often `UnitOfWork.count` counted that name."""
    value = await connection.execute(select(sequences.c.value).where(sequences.c.subject == name))
    return int(value.scalar_one_or_none() or 0)


async def counts(connection: AsyncConnection, name: str) -> dict[str, int]:
    """The number of that name, and of all that begin with it and a space."""
    its = (sequences.c.subject == name) | sequences.c.subject.startswith(f"{name} ", autoescape=True)
    rows = await connection.execute(select(sequences.c.subject, sequences.c.value).where(its))
    return {row.subject: int(row.value) for row in rows}


def current_traceparent() -> str | None:
    """The W3C `traceparent` of the present span, None outside any."""
    if not trace.get_current_span().get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


@dataclass
class UnitOfWork:
    """What one transaction does. Everything written through `connection`, and every event, commits or none does.

    `memo` is for what this transaction has read or written already and need not read again.
    """

    connection: AsyncConnection
    source: str
    clock: Clock
    actor: str | None = None
    memo: dict[tuple[str, str], Any] = field(default_factory=dict)
    _events: list[CloudEvent] = field(default_factory=list)
    _untold: list[CloudEvent] = field(default_factory=list)
    _later: dict[Executable, list[Mapping[str, Any]]] = field(default_factory=dict)
    _before: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    _after: list[Callable[[], None]] = field(default_factory=list)

    def emit(self, data: EventData, *, subject: str, owner: str | None = None) -> None:
        """Tell the others, once this commits. The event is numbered within its subject by `flush`."""
        event = CloudEvent(
            id=new_id("ev"),
            source=self.source,
            type=type(data).type,
            subject=subject,
            time=self.clock.now(),
            dataversion=type(data).dataversion,
            sequence=0,
            owner=owner,
            actor=self.actor,
            traceparent=current_traceparent(),
            data=data.model_dump(mode="json"),
        )
        self._untold.append(event)

    def later(self, statement: Executable, values: Mapping[str, Any]) -> None:
        """Execute this before the commit, in one crossing with the other values of the same statement (the very same
        object). For what nobody reads in this transaction: a handler gets events by the hundred, and need not wait for
        the database for each."""
        self._later.setdefault(statement, []).append(values)

    def before_commit(self, call: Callable[[], Awaitable[None]]) -> None:
        """Call this in the transaction, once all else in it is done. It may raise, which undoes the transaction."""
        self._before.append(call)

    async def flush(self) -> None:
        """Do and write what was left for later, and the events that were emitted, a crossing a statement; `Store.work`
        does it before the commit."""
        while self._before:
            await self._before.pop(0)()
        for statement, values in self._later.items():
            await self.connection.execute(statement, values)
        self._later.clear()
        if self._untold:
            await self._tell()

    async def _tell(self) -> None:
        """Number the events that were emitted, and write them down. Whoever tells of the same subject waits from here
        to the commit, all in the same order."""
        counts = Counter(event.subject for event in self._untold)
        next_number = {name: last - counts[name] + 1 for name, last in (await self._count(counts)).items()}
        for event in self._untold:
            self._events.append(event.model_copy(update={"sequence": next_number[event.subject]}))
            next_number[event.subject] += 1
        await _TELL.run_all(self.connection, [_row(event) for event in self._events[-len(self._untold) :]])
        self._untold.clear()

    async def count(self, name: str) -> int:
        """Count up the number of that name, whose row is locked until the commit; `counts` reads it."""
        return (await self._count({name: 1}))[name]

    async def _count(self, counts: Mapping[str, int]) -> dict[str, int]:
        counted = await _COUNT_IN[self.connection.dialect.name].run(self.connection, {"counts": json.dumps(counts)})
        return {name: int(value) for name, value in counted.rows}

    async def alone(self, name: str) -> None:
        """Until this transaction ends no other of that name passes here. SQLite has one writer at a time anyway."""
        if may_lock(self.connection):
            await self.connection.execute(_ALONE, {"name": name})

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this once the transaction has committed; never if it rolls back. It must not raise."""
        self._after.append(call)

    @property
    def events(self) -> tuple[CloudEvent, ...]:
        """The events that were written down, numbered."""
        return tuple(self._events)

    def committed(self) -> None:
        """Run what waits for the commit."""
        for call in self._after:
            call()


def _row(event: CloudEvent) -> dict[str, Any]:
    return {
        "event_id": event.id,
        "type": event.type,
        "subject": event.subject,
        "payload": event.model_dump_json(exclude_none=True),
        "created_at": event.time,
    }


@dataclass
class Store:
    """A service's database with its name as event source; `on_events` wakes the relay."""

    database: Database
    source: str
    clock: Clock
    on_events: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def work(self, actor: str | None = None) -> AsyncIterator[UnitOfWork]:
        """A unit of work: commits at the end of the block, rolls back on any exception."""
        async with self.database.writing() as connection:
            uow = UnitOfWork(connection, self.source, self.clock, actor)
            yield uow
            await uow.flush()
        uow.committed()
        for event in uow.events:
            figures.emitted(self.source, event.type)
        if uow.events:
            self.on_events()

    async def do(self, work: Callable[[UnitOfWork], Awaitable[T]], actor: str | None = None) -> T:
        """What `work` gives, done in a unit of work; again where the database had to undo it for another's sake.

        So it may do nothing that is not undone with the transaction. Raises Unavailable where that happens repeatedly.
        """
        for tries_left in range(TRIES - 1, -1, -1):
            try:
                async with self.work(actor) as uow:
                    return await work(uow)
            except Crossed as crossed:
                log.warning("transaction undone", source=self.source, reason=crossed.detail, tries_left=tries_left)
                if not tries_left:
                    raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent snapshot to read from."""
        async with self.database.reading() as connection:
            yield connection
