"""From the outbox in PostgreSQL over the broker to the effect: what was committed has its effect once, whoever dies."""

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import select, text

from common.contracts.dataset import DatasetOffline
from common.db.database import Database
from common.db.inbox import Inbox
from common.db.outbox import Relay
from common.db.tables import inbox as inbox_rows
from common.db.tables import outbox as outbox_rows
from common.db.uow import Store
from common.kernel.clock import SystemClock
from tests.common.bus.conftest import eventually
from tests.common.db.conftest import migrate

EVENTS = 400


@pytest.fixture
async def stores(postgres):
    """The teller's and the hearer's, each with a database of its own."""
    urls = [await postgres.copy_of("common", migrate) for _ in range(2)]
    databases = [Database(url) for url in urls]
    yield [Store(d, name, SystemClock()) for d, name in zip(databases, ("teller-svc", "hearer-svc"), strict=True)]
    for database, url in zip(databases, urls, strict=True):
        await database.close()
        await postgres.drop(url)


async def on_offline(uow, heard) -> None:
    await uow.connection.execute(text("INSERT INTO effects VALUES (:id)"), {"id": heard.data.id})


async def column(store, statement) -> list[str]:
    async with store.reading() as connection:
        return list((await connection.execute(statement)).scalars())


async def test_relays_consumers_and_the_broker_die_and_every_effect_happens_once(rabbitmq, url, bus_at, stores):
    teller, hearer = stores
    seeded = random.Random(7)
    async with hearer.database.writing() as connection:
        await connection.execute(text("CREATE TABLE effects (id TEXT)"))
    ear = Inbox(hearer, "hearer-svc", {DatasetOffline: [on_offline]})
    buses = [bus_at(url)]
    await buses[0].start(ear.subscriptions())

    async def tell() -> None:
        for n in range(EVENTS):
            async with teller.work() as uow:
                uow.emit(DatasetOffline(id=f"ds-{n}"), subject=f"ds-{n % 7}")

    async def kill_relays() -> None:
        while True:
            relays = [asyncio.create_task(Relay(teller, sender).run()) for _ in range(2)]
            await asyncio.sleep(seeded.uniform(0.02, 0.2))
            for relay in relays:
                relay.cancel()
            await asyncio.gather(*relays, return_exceptions=True)

    async def kill_consumers() -> None:
        while True:
            await asyncio.sleep(seeded.uniform(0.3, 0.5))
            await buses[-1].close()
            buses.append(bus_at(url))
            await buses[-1].start(ear.subscriptions())

    sender = bus_at(url)
    await sender.start([])
    killers = [asyncio.create_task(kill()) for kill in (kill_relays, kill_consumers)]
    await asyncio.gather(tell(), asyncio.to_thread(rabbitmq.restart))
    await asyncio.sleep(0.5)
    for killer in killers:
        killer.cancel()
    await asyncio.gather(*killers, return_exceptions=True)
    last = Relay(teller, sender)
    relaying = asyncio.create_task(last.run())
    listening = bus_at(url)
    await listening.start(ear.subscriptions())
    done = select(inbox_rows.c.event_id).where(inbox_rows.c.state == "done")
    async with asyncio.timeout(120):
        while len(await column(hearer, done)) < EVENTS or await last.waiting():  # heard before it is known to be sent
            await asyncio.sleep(0.05)
    relaying.cancel()
    assert await last.waiting() == 0
    assert set(await column(hearer, done)) == set(await column(teller, select(outbox_rows.c.event_id)))
    effects = Counter(await column(hearer, text("SELECT id FROM effects")))
    assert effects == Counter(f"ds-{n}" for n in range(EVENTS))
    await eventually(lambda: not rabbitmq.queue(url.rpartition("/")[2], "hearer-svc.on_offline.dead").get("messages"))


RELAY = """
    import asyncio, sys
    from common.bus.rabbitmq import RabbitBus
    from common.db.database import Database
    from common.db.outbox import Relay
    from common.db.uow import Store
    from common.kernel.clock import SystemClock

    async def main():
        bus = RabbitBus(sys.argv[2])
        await bus.start([])
        print("relays", flush=True)
        await Relay(Store(Database(sys.argv[1]), "teller-svc", SystemClock()), bus).run()

    asyncio.run(main())
"""


async def test_relays_are_killed_in_the_middle_of_batches_and_what_is_sent_again_has_no_second_effect(
    url, bus_at, stores, child
):
    """kill -9 of their processes, of which there are two at a time; no relay is asked how far it came."""
    teller, hearer = stores
    seeded = random.Random(11)
    async with hearer.database.writing() as connection:
        await connection.execute(text("CREATE TABLE effects (id TEXT)"))
    await bus_at(url).start(Inbox(hearer, "hearer-svc", {DatasetOffline: [on_offline]}).subscriptions())
    at = teller.database.url.render_as_string(hide_password=False)
    relays = [child(RELAY, at, url) for _ in range(2)]
    told = 0
    for life in range(4):
        await asyncio.gather(*(asyncio.to_thread(relay.line) for relay in relays))
        for _ in range(10):
            async with teller.work() as uow:
                for _ in range(40):
                    uow.emit(DatasetOffline(id=f"ds-{told}"), subject=f"ds-{told % 7}")
                    told += 1
        await asyncio.sleep(seeded.uniform(0.0, 0.15))
        for relay in relays:
            relay.kill()
        relays = [child(RELAY, at, url) for _ in range(2 if life < 3 else 1)]
    async with asyncio.timeout(120):
        while len(await column(hearer, text("SELECT DISTINCT id FROM effects"))) < told:
            await asyncio.sleep(0.05)
    effects = Counter(await column(hearer, text("SELECT id FROM effects")))
    assert effects == Counter(f"ds-{n}" for n in range(told))
