"""One service's database: SQLite in WAL, or PostgreSQL.

SQLite takes its write lock at BEGIN (deferred transactions fail under contention) and one writer at a time queues
inside the process, so that nobody waits in SQLite's own busy loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Float, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import TimeoutError as NoneFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool
from sqlalchemy.sql import ColumnElement
from sqlalchemy.sql.expression import literal_column

from common.db import postgres
from common.db.pulse import Pulse
from common.db.sqlite import OneCrossing, Opened, connect
from common.kernel.errors import Unavailable

MIGRATING = 0x6D6F64656C
"""The advisory lock under which a PostgreSQL database is migrated by one instance at a time."""

CLOSE_SECONDS = 5.0
"""How long a connection in use is waited for at the end."""

_SNAPSHOT = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


class Database:
    """Connections to one database. `durable` False trades safety at power loss for speed (metrics, logs)."""

    def __init__(self, url: str, *, durable: bool = True, pool_size: int = 5) -> None:
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self._durable = durable
        self._writing = asyncio.Lock()
        self._opened = Opened()
        self.engine = self._sqlite() if self.is_sqlite else postgres.pooled(self.url, pool_size=pool_size)
        self._reader = self.engine if self.is_sqlite else self.engine.execution_options(**_SNAPSHOT)
        self._pulse = None if self.is_sqlite else Pulse(self.url)
        self._wedged: str | None = None
        self._connections: WeakSet[Any] = WeakSet()
        if not self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", self._connected)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite rather than PostgreSQL."""
        return self.dialect == "sqlite"

    def _sqlite(self) -> AsyncEngine:
        path, opened, durable = self.url.database or "", self._opened, self._durable
        engine = create_async_engine(
            self.url, pool_size=4, max_overflow=12, async_creator=lambda: connect(path, opened, durable=durable)
        )

        def begin(connection: Connection) -> None:
            opened = connection.connection.driver_connection
            assert isinstance(opened, OneCrossing)
            opened.will_begin(writing=connection.get_execution_options().get("writing", False))

        event.listen(engine.sync_engine, "begin", begin)
        return engine

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write; commits at the end, rolls back on any exception."""
        if not self.is_sqlite:
            async with self._taken(self.engine) as connection, connection.begin():
                yield connection
            return
        async with self._writing, self.engine.connect() as connection:
            await connection.execution_options(writing=True)
            async with connection.begin():
                yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent snapshot to read from."""
        async with self._taken(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def migrating(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that changes tables, for as long as that takes; other instances wait until it has."""
        if self.is_sqlite:
            async with self.writing() as connection:
                yield connection
            return
        engine = postgres.patient(self.url)
        async with engine.begin() as connection:
            self._connections.add((await connection.get_raw_connection()).driver_connection)
            await connection.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": MIGRATING})
            yield connection
        await engine.dispose()

    @asynccontextmanager
    async def _taken(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection from the pool. Raises Unavailable where none gets free in time, or none would answer."""
        if self._wedged is not None:
            raise Unavailable("database_unavailable", f"The database is not available now: {self._wedged}. Try again.")
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(engine.connect())
            except NoneFree as error:
                said = "All connections to the database are in use. Try again soon."
                raise Unavailable("database_busy", said) from error
            yield connection

    async def ping(self) -> None:
        """Raise where the database does not answer."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def pulse(self) -> None:
        """The same, asked beside the pool: of a pool that is full, or whose connections lead nowhere, nothing is told.
        Raises Unavailable."""
        await (self.ping() if self._pulse is None else self._pulse.feel())

    def wedge(self, reason: str | None) -> None:
        """It is known to be silent, or (None) no more. What waits for it fails now, and nothing begins to wait."""
        if reason is not None and self._wedged is None:
            for connection in tuple(self._connections):
                connection.terminate()
        self._wedged = reason

    def _connected(self, adapted: Any, _record: Any) -> None:
        self._connections.add(adapted.driver_connection)

    def now(self) -> ColumnElement[float]:
        """The database's own clock, in seconds since 1970: the only clock that leases follow."""
        sql = (
            "((julianday('now') - 2440587.5) * 86400.0)"
            if self.is_sqlite
            else "extract(epoch from clock_timestamp())::float8"
        )
        return literal_column(sql, Float)

    async def clock(self) -> float:
        """What the database's clock shows now, in seconds since 1970."""
        async with self.reading() as connection:
            return float((await connection.execute(select(self.now()))).scalar_one())

    async def close(self) -> None:
        """Give all connections back. One that a cancelled task is just returning is waited for: returned any later it
        would never be closed, and its thread would keep the process from ending."""
        if self._pulse is not None:
            self._pulse.close()
        pool, deadline = self.engine.pool, time.monotonic() + CLOSE_SECONDS
        while isinstance(pool, QueuePool) and pool.checkedout() and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        await self.engine.dispose()
        await self._opened.end(CLOSE_SECONDS)


def may_lock(connection: AsyncConnection) -> bool:
    """Whether rows can and should be locked here: SQLite locks the whole database instead, and readers lock nothing."""
    options = connection.sync_connection.get_execution_options() if connection.sync_connection is not None else {}
    return connection.dialect.name == "postgresql" and not options.get("postgresql_readonly", False)
