"""A queue that is full refuses: what it has no room for waits in the outbox, and flows once there is room."""

import asyncio

import pytest
from sqlalchemy import select

from common.bus.rabbitmq import Topology
from common.contracts.dataset import DatasetOffline
from common.db.database import Database
from common.db.inbox import Inbox
from common.db.migrate import upgrade
from common.db.outbox import Relay
from common.db.tables import inbox
from common.db.uow import Store
from common.kernel.clock import SystemClock
from common.ports.bus import BusUnavailable

EVENTS = 40


@pytest.fixture
async def stores(tmp_path):
    """The teller's and the hearer's."""
    databases = [Database(f"sqlite+aiosqlite:///{tmp_path / name}.sqlite3") for name in ("teller", "hearer")]
    for database in databases:
        await upgrade(database)
    yield [Store(database, "test-svc", SystemClock()) for database in databases]
    for database in databases:
        await database.close()


async def test_what_a_full_queue_refuses_waits_in_the_outbox_and_flows_later(bus_at, url, stores):
    teller, hearer = stores

    async def on_offline(uow, heard) -> None: ...

    ear = Inbox(hearer, "test-svc", {DatasetOffline: [on_offline]})
    small = Topology(max_length=3)
    declared = bus_at(url, small)
    await declared.start(ear.subscriptions())
    await declared.close()

    told: list[str] = []

    async def tell(count: int) -> None:
        async with teller.work() as uow:
            for _ in range(count):
                uow.emit(DatasetOffline(id="ds-1"), subject="ds-1")
        told.extend(event.id for event in uow.events)

    sender = bus_at(url)
    await sender.start([])
    relay = Relay(teller, sender)

    async def fill() -> None:
        for _ in range(EVENTS):  # one by one: of what comes at once a queue takes more than it has room for
            await tell(1)
            await relay.once()

    with pytest.raises(BusUnavailable, match="no room"):
        await fill()
    await tell(EVENTS)
    with pytest.raises(BusUnavailable, match="no room"):
        await relay.once()
    assert await relay.waiting() == EVENTS + 1, "nothing of a batch is marked where not all of it was taken"
    await sender.ping()

    relaying = asyncio.create_task(relay.run())
    await bus_at(url, small).start(ear.subscriptions())
    done = select(inbox.c.event_id).where(inbox.c.state == "done")
    async with asyncio.timeout(120):
        while True:
            async with hearer.reading() as connection:
                heard = set((await connection.execute(done)).scalars())
            if heard == set(told) and await relay.waiting() == 0:
                break
            await asyncio.sleep(0.05)
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
