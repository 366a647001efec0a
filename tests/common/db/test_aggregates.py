"""Who loads a thing in order to change it has it alone: concurrent changes queue up, none is refused, none is lost."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import MetaData, text

from common.db.aggregates import Aggregates, aggregate_table
from common.db.database import Database
from common.db.uow import Store
from common.kernel.errors import Conflict

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Thing:
    id: str = "thing-1"
    name: str = "one"
    owner: str = "alice"
    state: str = "new"
    version: int = 1
    created_at: datetime = START
    updated_at: datetime = START
    count: int = 0


METADATA = MetaData()
THINGS = Aggregates("thing", aggregate_table("things", METADATA), Thing)


@pytest.fixture
async def stores(database, clock):
    """Two instances of a service on one database."""
    async with database.writing() as connection:
        await connection.run_sync(METADATA.create_all)
        await THINGS.add(connection, Thing())
    other = Database(database.url.render_as_string(hide_password=False))
    yield [Store(each, "test-svc", clock) for each in (database, other)]
    await other.close()


async def test_changes_of_several_instances_queue_up(stores):
    async def change(store: Store) -> None:
        async with store.work() as uow:
            thing = await THINGS.get(uow.connection, "thing-1")
            await asyncio.sleep(0)
            await THINGS.save(uow.connection, replace(thing, count=thing.count + 1), now=START)

    await asyncio.gather(*(change(store) for store in stores * 8))
    async with stores[0].reading() as connection:
        thing = await THINGS.get(connection, "thing-1")
    assert (thing.count, thing.version) == (16, 17)


async def test_what_was_read_before_and_changed_meanwhile_is_refused(stores):
    async with stores[0].reading() as connection:
        old = await THINGS.get(connection, "thing-1")
    for refused in (False, True):
        async with stores[1].work() as uow:
            if refused:
                with pytest.raises(Conflict, match="changed meanwhile"):
                    await THINGS.save(uow.connection, old, now=START)
            else:
                await THINGS.save(uow.connection, old, now=START)


async def test_only_one_at_a_time_is_alone(stores):
    """Looking whether something is there and then making it: the second looks when the first has made it."""

    async def make(store: Store) -> bool:
        async with store.work() as uow:
            await uow.alone("the table")
            found = await uow.connection.execute(text("SELECT count(*) FROM things WHERE id = 'thing-2'"))
            if found.scalar_one():
                return False
            await asyncio.sleep(0.01)
            await THINGS.add(uow.connection, Thing(id="thing-2"))
            return True

    assert sum(await asyncio.gather(*(make(store) for store in stores * 3))) == 1
