"""A closed database leaves nothing behind, whatever its users were just doing."""

import asyncio
import gc
import random
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from common.db.database import Database

pytestmark = pytest.mark.row("P6")


async def _use(database: Database) -> None:
    while True:
        async with database.writing() as connection:
            await connection.execute(text("SELECT 1"))
        async with database.reading() as connection:
            await connection.execute(text("SELECT 1"))


async def _cancelled_in_its_midst(path: Path, after: float) -> None:
    database = Database(f"sqlite+aiosqlite:///{path}")
    users = [asyncio.create_task(_use(database)) for _ in range(5)]
    await asyncio.sleep(after)
    for user in users:
        user.cancel()
    await asyncio.gather(*users, return_exceptions=True)
    await database.close()


def test_no_thread_outlives_a_closed_database(tmp_path: Path) -> None:
    chance = random.Random(7)
    before = set(threading.enumerate())
    for number in range(30):
        asyncio.run(_cancelled_in_its_midst(tmp_path / f"{number}.sqlite3", chance.random() * 0.01))
        assert set(threading.enumerate()) <= before
    gc.collect()  # one that is found unclosed now warns, and a warning is an error here
