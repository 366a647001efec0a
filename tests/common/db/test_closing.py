"""The end of a database: whatever was cancelled in the middle, no thread is left that keeps the process from ending."""

import asyncio
import random
import threading

import pytest

from common.db.database import Database


def connection_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "_connection_worker_thread" in thread.name}


async def use(database: Database) -> None:
    while True:
        await database.ping()
        async with database.writing():
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(20))
async def test_closing_in_the_middle_of_everything_leaves_no_thread(tmp_path, seed):
    chance = random.Random(seed)
    before = connection_threads()
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.sqlite3'}", durable=False)
    tasks = [asyncio.create_task(use(database)) for _ in range(6)]
    for _ in range(chance.randrange(60)):
        await asyncio.sleep(0)
    await asyncio.sleep(chance.random() * 0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await database.close()
    for thread in connection_threads() - before:
        await asyncio.to_thread(thread.join, 10)
    assert connection_threads() <= before
