"""The few statements that every step of every workload takes, straight to the driver where that is SQLite.

SQLAlchemy compiles and caches a statement well, but then spends ten times as long on executing it as SQLite does; with
forty of them a job that was half of all a short job cost. A `Direct` is compiled once by SQLAlchemy, with its types,
and executed in one crossing to the connection's thread. On PostgreSQL it is executed as ever.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from common.db.sqlite import OneCrossing

T = TypeVar("T")
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """What a statement gave: its rows, in which documents may be JSON still, and how many it changed."""

    rows: Sequence[Sequence[Any]]
    changed: int


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    names: tuple[str, ...]
    fixed: Values
    processors: Mapping[str, Callable[[Any], Any]]

    def parameters(self, values: Values) -> tuple[Any, ...]:
        known = {**self.fixed, **values}
        processors = self.processors
        return tuple(processors[name](known[name]) if name in processors else known[name] for name in self.names)


class Direct:
    """One statement, of which all values are given each time, by the names of its parameters or columns. Columns that
    have defaults in Python are not filled in.

    It takes the short way in transactions that were begun (`Database.writing`).
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[frozenset[str], _Compiled] = {}

    async def run(self, connection: AsyncConnection, values: Values) -> Done:
        """Execute it. Raises what SQLAlchemy would."""
        if connection.dialect.name != "sqlite" or not connection.in_transaction():
            result = await connection.execute(self._statement, values)
            return Done(result.all() if result.returns_rows else (), result.rowcount)
        compiled = self._of(connection, values)
        parameters = compiled.parameters(values)
        return await _cross(connection, compiled.sql, parameters, lambda raw: raw.execute(compiled.sql, parameters))

    async def run_all(self, connection: AsyncConnection, values: Sequence[Values]) -> None:
        """Execute it once for each of these, which name the same things."""
        if connection.dialect.name != "sqlite":
            await connection.execute(self._statement, values)
            return
        compiled = self._of(connection, values[0])
        rows = [compiled.parameters(one) for one in values]
        await _cross(connection, compiled.sql, rows, lambda raw: raw.executemany(compiled.sql, rows))

    def _of(self, connection: AsyncConnection, values: Values) -> _Compiled:
        names = frozenset(values)
        if (known := self._compiled.get(names)) is None:
            known = self._compiled[names] = _compile(self._statement, connection, sorted(names))
        return known


def _compile(statement: Executable, connection: AsyncConnection, names: list[str]) -> _Compiled:
    assert isinstance(statement, ClauseElement)
    made = statement.compile(dialect=connection.dialect, column_keys=names, for_executemany=True)
    assert isinstance(made, SQLCompiler)
    assert made.positiontup is not None
    if made.insert_prefetch or made.update_prefetch:
        raise TypeError(f"SQLAlchemy itself fills in some columns of {made.string}: execute it as ever")
    fixed = made.params
    processors: Any = made._bind_processors
    return _Compiled(made.string, tuple(made.positiontup), fixed, processors)


def read(adapter: TypeAdapter[T], done: Done) -> T | None:
    """The document of the only row; None where there is no row."""
    if not done.rows:
        return None
    doc = done.rows[0][0]
    return adapter.validate_json(doc) if isinstance(doc, str) else adapter.validate_python(doc)


async def _cross(
    connection: AsyncConnection, sql: str, parameters: Any, act: Callable[[sqlite3.Cursor], object]
) -> Done:
    assert connection.sync_connection is not None
    driver = connection.sync_connection.connection.driver_connection
    assert isinstance(driver, OneCrossing)
    done = Done((), -1)

    def whole() -> None:
        nonlocal done
        driver.begin()
        cursor = driver.raw.cursor()
        try:
            act(cursor)
            done = Done(cursor.fetchall() if cursor.description else (), cursor.rowcount)
        finally:
            cursor.close()

    try:
        await driver.cross(whole)
    except sqlite3.Error as error:
        raise DBAPIError.instance(sql, parameters, error, sqlite3.Error) from error
    return done
