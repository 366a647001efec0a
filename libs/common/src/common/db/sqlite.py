"""SQLite connections that cross to their thread once a statement.

The driver's cursor crosses four times (open, execute, fetch, close), which costs more than the statement itself.
Results are small here (pages of lists), so fetching them whole with the statement loses nothing.
"""

from __future__ import annotations

import sqlite3
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


async def connect(path: str, *, durable: bool) -> OneCrossing:
    """Open a database in WAL, in autocommit (who begins says BEGIN). `durable`: a commit survives a power loss."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = OneCrossing(lambda: sqlite3.connect(path, isolation_level=None), iter_chunk_size=64)
    connection._thread.daemon = True  # a connection that was not closed must not keep the process from ending
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
