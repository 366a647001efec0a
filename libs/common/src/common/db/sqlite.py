"""SQLite connections that cross to their thread once a statement.

The driver's cursor crosses four times (open, execute, fetch, close), which costs more than the statement itself.
Results are small here (pages of lists), so fetching them whole with the statement loses nothing. A transaction begins
with its first statement and in the same crossing; the end of one that only read is not waited for.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import aiosqlite

BUSY_TIMEOUT_MS = 10_000


class _Cursor:
    """A cursor whose execute brings all rows back with it."""

    def __init__(self, connection: OneCrossing) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.lastrowid: int | None = None
        self.rowcount = -1
        self.arraysize = 1

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> _Cursor:
        return await self._run(lambda cursor: cursor.execute(sql, parameters))

    async def executemany(self, sql: str, parameters: Iterable[Sequence[Any]]) -> _Cursor:
        return await self._run(lambda cursor: cursor.executemany(sql, parameters))

    async def _run(self, act: Any) -> _Cursor:
        def whole() -> None:
            self._connection.begin()
            cursor = self._connection.raw.cursor()
            try:
                act(cursor)
                self.description, self.lastrowid, self.rowcount = cursor.description, cursor.lastrowid, cursor.rowcount
                self._rows = cursor.fetchall() if cursor.description else []
            finally:
                cursor.close()

        await self._connection.cross(whole)
        return self

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        count = size or self.arraysize
        rows, self._rows = self._rows[:count], self._rows[count:]
        return rows

    async def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    async def close(self) -> None:
        self._rows = []


class OneCrossing(aiosqlite.Connection):
    """An aiosqlite connection with such cursors."""

    _begin: str | None = None
    _only_reads = False

    def will_begin(self, *, writing: bool) -> None:
        """Begin a transaction with the next statement; one that writes takes the database's write lock at once."""
        self._begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
        self._only_reads = not writing

    def begin(self) -> None:
        """In the connection's thread: begin what is still to begin."""
        if self._begin is not None:
            self.raw.execute(self._begin).close()
            self._begin = None

    async def commit(self) -> None:
        """Commit; nothing to do where no statement came."""
        if self._begin is None:
            await super().commit()
        self._begin = None

    async def rollback(self) -> None:
        """Roll back; what only read needs no waiting for, the next statement comes after it anyway."""
        if self._begin is not None:
            self._begin = None
        elif self._only_reads:
            self._tx.put_nowait((asyncio.get_running_loop().create_future(), self.raw.rollback))
        else:
            await super().rollback()

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's own connection, to be used in its thread."""
        return self._conn

    async def cross(self, act: Any) -> None:
        """Run something in the connection's thread."""
        await self._execute(act)  # type: ignore[no-untyped-call]

    async def cursor(self) -> Any:  # type: ignore[override]
        """A cursor; opening it crosses nowhere."""
        return _Cursor(self)


class Opened:
    """All connections of one database that are open or just ending.

    A task that is cancelled in its midst may leave one behind that nobody closes, or one whose thread still speaks to
    an event loop that is closed meanwhile.
    """

    def __init__(self) -> None:
        self._connections: weakref.WeakSet[OneCrossing] = weakref.WeakSet()
        self._threads: list[threading.Thread] = []

    def add(self, connection: OneCrossing) -> None:
        """One more."""
        self._connections.add(connection)
        self._threads = [*(thread for thread in self._threads if _may_run(thread)), connection._thread]

    async def end(self, seconds: float) -> None:
        """Close what was left open, and wait until all threads have ended."""
        for connection in self._connections:
            if connection._connection is not None:
                connection.stop()
        deadline = time.monotonic() + seconds
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < deadline:
            await asyncio.sleep(0.001)


def _may_run(thread: threading.Thread) -> bool:
    return thread.ident is None or thread.is_alive()


async def connect(path: str, opened: Opened, *, durable: bool) -> OneCrossing:
    """Open a database in WAL, in autocommit (who begins says BEGIN). `durable`: a commit survives a power loss."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = OneCrossing(lambda: sqlite3.connect(path, isolation_level=None), iter_chunk_size=64)
    connection._thread.daemon = True  # a connection that was not closed must not keep the process from ending
    opened.add(connection)
    connection = cast(OneCrossing, await connection)
    pragmas = (
        "journal_mode=WAL",
        f"synchronous={'FULL' if durable else 'NORMAL'}",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "cache_size=-2000",
    )

    def set_up() -> None:
        for pragma in pragmas:
            connection.raw.execute(f"PRAGMA {pragma}").close()

    try:
        await connection.cross(set_up)
    except BaseException:  # cancelled as well: nobody else will ever end its thread
        connection.stop()
        raise
    return connection
