"""Concurrent read-modify-writes all count: SQLite takes its lock at BEGIN, PostgreSQL where the rows are asked for."""

import asyncio

import pytest
from sqlalchemy import text

from common.db.database import Database


@pytest.fixture
async def databases(empty_url):
    made = [Database(empty_url) for _ in range(2)]
    yield made
    for database in made:
        await database.close()


async def test_no_update_is_lost(databases):
    here, there = databases
    lock = "" if here.is_sqlite else " FOR UPDATE"
    async with here.writing() as connection:
        await connection.execute(text("CREATE TABLE counter (n INTEGER)"))
        await connection.execute(text("INSERT INTO counter VALUES (0)"))

    async def count(database: Database) -> None:
        for _ in range(20):
            async with database.writing() as connection:
                n = (await connection.execute(text(f"SELECT n FROM counter{lock}"))).scalar_one()
                await asyncio.sleep(0)
                await connection.execute(text("UPDATE counter SET n = :n"), {"n": n + 1})

    await asyncio.gather(*(count(d) for d in (here, here, there, there)))
    async with here.reading() as connection:
        assert (await connection.execute(text("SELECT n FROM counter"))).scalar_one() == 80


async def test_a_cancelled_write_leaves_nothing_and_frees_the_lock(databases):
    database, _ = databases
    async with database.writing() as connection:
        await connection.execute(text("CREATE TABLE t (n INTEGER)"))
    begun = asyncio.Event()

    async def write() -> None:
        async with database.writing() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with database.writing() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0
