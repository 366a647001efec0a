"""The relay: the only one who publishes. It sends what committed, in order, and marks what was confirmed.

Killed anywhere, it sends again what it had not marked, and what the bus says that it has lost: inboxes know duplicates
by the event's id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import outbox
from common.db.uow import Store
from common.kernel.errors import Unavailable
from common.kernel.events import CloudEvent
from common.ports.bus import Bus

BATCH = 200
POLL_SECONDS = 1.0

GATHER_SECONDS = 0.01
"""How long to gather after a commit where publishing means doing the consumers' work in this very process.

It would get in the way of the request that committed; and what follows closely leaves in the same batch.
"""

TOLD_AGAIN = timedelta(days=7)
"""What was confirmed longer ago is not told again: inboxes might have forgotten that they know it."""

AGAIN_AT_ONCE = 10_000
"""Rows a transaction, so that nobody waits long for one."""

_UNSENT = select(outbox.c.id, outbox.c.payload).where(outbox.c.sent_at.is_(None)).order_by(outbox.c.id).limit(BATCH)

# a mark that a power loss takes along only sends again what inboxes know, so nobody waits for the disk
_NEED_NOT_LAST = text("SET LOCAL synchronous_commit = off")

log = structlog.get_logger("outbox")


class Relay:
    """Carries events from one service's outbox to the bus."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._gather = 0.0 if bus.capabilities.across_processes else GATHER_SECONDS
        self._wake = asyncio.Event()
        store.on_events = self._wake.set
        bus.on_loss(store.source, self.tell_again)

    async def run(self) -> None:
        """Relay for ever, woken by commits and by a poll."""
        while True:
            self._wake.clear()  # before fetching: a commit from here on wakes us again
            try:
                if await self.once():
                    continue
            except Unavailable as problem:
                log.warning("bus unavailable, events wait in the outbox", reason=problem.detail)
                await self._store.clock.sleep(POLL_SECONDS)
                continue
            except Exception:
                log.exception("relay failed, goes on")  # a full disk, for example: it may have room again soon
                await self._store.clock.sleep(POLL_SECONDS)
                continue
            try:
                async with asyncio.timeout(POLL_SECONDS):  # wait_for of Python 3.11 can swallow a cancellation
                    await self._wake.wait()
            except TimeoutError:
                continue
            await self._store.clock.sleep(self._gather)

    async def once(self) -> int:
        """Send one batch; gives its size. Raises BusUnavailable with nothing marked."""
        if self._store.database.is_sqlite:
            return await self._once_alone()
        return await self._once_among_others()

    async def _once_alone(self) -> int:
        """Only one relay works on a SQLite file. It publishes outside the transaction: there is one writer only, and
        the `memory:` bus writes to the inboxes meanwhile."""
        async with self._store.reading() as connection:
            rows = (await connection.execute(_UNSENT)).all()
        if not rows:
            return 0
        await self._publish(rows)
        async with self._store.database.writing() as connection:
            await self._mark(connection, rows)
        return len(rows)

    async def _once_among_others(self) -> int:
        """Relays of other instances pass over the rows that this transaction has locked, so nothing is sent twice."""
        async with self._store.database.writing() as connection:
            rows = (await connection.execute(_UNSENT.with_for_update(skip_locked=True))).all()
            if rows:
                await self._publish(rows)
                await connection.execute(_NEED_NOT_LAST)
                await self._mark(connection, rows)
        return len(rows)

    async def _publish(self, rows: Sequence[Row[tuple[int, str]]]) -> None:
        await self._bus.publish([CloudEvent.model_validate_json(row.payload) for row in rows])

    async def _mark(self, connection: AsyncConnection, rows: Sequence[Row[tuple[int, str]]]) -> None:
        confirmed = update(outbox).where(outbox.c.id.in_([row.id for row in rows]))
        await connection.execute(confirmed.values(sent_at=self._store.clock.now()))

    async def tell_again(self) -> None:
        """Take the marks off what was confirmed within `TOLD_AGAIN`: the bus has lost it. Raises Unavailable."""
        lately = outbox.c.sent_at >= self._store.clock.now() - TOLD_AGAIN
        async with self._store.reading() as connection:
            span = select(func.min(outbox.c.id), func.max(outbox.c.id), func.count()).where(lately)
            first, last, count = (await connection.execute(span)).one()
        if not count:
            return
        log.warning("the bus has lost what it had confirmed, it is told again", events=count)
        for start in range(first, last + 1, AGAIN_AT_ONCE):
            some = outbox.c.id.between(start, min(start + AGAIN_AT_ONCE - 1, last))
            async with self._store.database.writing() as connection:
                await connection.execute(update(outbox).where(some, lately).values(sent_at=None))
        self._wake.set()

    async def waiting(self) -> int:
        """How many events are not yet confirmed."""
        count = select(func.count()).select_from(outbox).where(outbox.c.sent_at.is_(None))
        async with self._store.reading() as connection:
            return int((await connection.execute(count)).scalar_one())
