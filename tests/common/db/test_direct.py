"""Statements that go straight to the driver do what they did through SQLAlchemy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from common.db.database import Database
from common.db.direct import Direct
from common.db.tables import Instant, Json

METADATA = MetaData()
THINGS = Table(
    "things",
    METADATA,
    Column("id", String(10), primary_key=True),
    Column("count", Integer),
    Column("at", Instant),
    Column("doc", Json),
)
DEFAULTS = Table("defaults", METADATA, Column("id", Integer, primary_key=True), Column("on", Boolean, default=False))
ROW: dict[str, Any] = {"id": "a", "count": 1, "at": datetime(2026, 1, 2, 3, tzinfo=UTC), "doc": {"ä": [1, None]}}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = Database(f"sqlite+aiosqlite:///{tmp_path / 'x.sqlite3'}", durable=False)
    async with made.writing() as connection:
        await connection.run_sync(METADATA.create_all)
    yield made
    await made.close()


async def test_what_is_written_either_way_is_read_either_way(database: Database) -> None:
    add, find = insert(THINGS), select(THINGS).where(THINGS.c.id == bindparam("its_id"))
    async with database.writing() as connection:
        await Direct(add).run(connection, ROW)
        await connection.execute(add, {**ROW, "id": "b"})
        (mine,), (theirs,) = [(await Direct(find).run(connection, {"its_id": name})).rows for name in "ab"]
        assert mine[1:] == theirs[1:]
    async with database.reading() as connection:
        again = await Direct(find).run(connection, {"its_id": "a"})
        assert again.rows[0][3] == ROW["doc"], "no transaction was begun, so as ever"
        for name in "ab":
            assert dict((await connection.execute(find, {"its_id": name})).one()._mapping) == {**ROW, "id": name}


async def test_it_tells_how_many_it_changed_and_is_undone_with_the_rest(database: Database) -> None:
    guarded = Direct(update(THINGS).where(THINGS.c.id == bindparam("its_id"), THINGS.c.count == bindparam("was")))
    async with database.writing() as connection:
        await Direct(insert(THINGS)).run_all(connection, [ROW, {**ROW, "id": "b"}])

    async def changed_and_undone() -> None:
        async with database.writing() as connection:
            assert (await guarded.run(connection, {"its_id": "a", "was": 1, "count": 2})).changed == 1
            assert (await guarded.run(connection, {"its_id": "a", "was": 1, "count": 3})).changed == 0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await changed_and_undone()
    async with database.reading() as connection:
        assert set((await connection.execute(select(THINGS.c.count))).scalars()) == {1}


async def test_its_errors_are_sqlalchemys(database: Database) -> None:
    async with database.writing() as connection:
        await Direct(insert(THINGS)).run(connection, ROW)
        with pytest.raises(IntegrityError):
            await Direct(insert(THINGS)).run(connection, ROW)


async def test_columns_that_sqlalchemy_fills_in_are_refused(database: Database) -> None:
    async with database.writing() as connection:
        with pytest.raises(TypeError, match="as ever"):
            await Direct(insert(DEFAULTS)).run(connection, {"id": 1})
