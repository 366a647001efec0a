"""A broker that comes back with an empty disk: queues, log and all that lay in them are gone; nobody restarts anything.

What was confirmed and not yet heard is told again from the outboxes, which keep it for twice as long.
"""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from common.contracts.dataset import DatasetOffline
from common.db.inbox import Inbox
from common.db.outbox import TOLD_AGAIN, Relay
from common.db.tables import outbox
from common.kernel.errors import Unavailable
from tests.common.bus.conftest import Ear, event, eventually, published
from tests.common.bus.test_ledger import column, on_offline, stores  # noqa: F401 - a fixture

EFFECTS = text("SELECT id FROM effects")


@pytest.mark.row("P6")
async def test_what_it_had_confirmed_and_nobody_had_heard_is_told_again_and_has_its_effect_once(
    rabbitmq,
    bus_at,
    url,
    stores,  # noqa: F811
):
    teller, hearer = stores
    async with hearer.database.writing() as connection:
        await connection.execute(text("CREATE TABLE effects (id TEXT)"))
    ear = Inbox(hearer, "hearer-svc", {DatasetOffline: [on_offline]})

    async def tell(numbers: range) -> None:
        async with teller.work() as uow:
            for n in numbers:
                uow.emit(DatasetOffline(id=f"ds-{n}"), subject=f"ds-{n % 7}")

    listening = bus_at(url)
    await listening.start(ear.subscriptions())
    sender = bus_at(url)
    relay = Relay(teller, sender)
    await sender.start([])
    relaying = asyncio.create_task(relay.run())
    await tell(range(100))
    async with asyncio.timeout(60):
        while len(await column(hearer, EFFECTS)) < 100:
            await asyncio.sleep(0.02)
    await listening.close()  # from here on the queue alone knows it
    await tell(range(100, 300))
    async with asyncio.timeout(60):
        while await relay.waiting():
            await asyncio.sleep(0.02)

    await asyncio.to_thread(rabbitmq.lose_disk)
    late = bus_at(url)
    await late.start(ear.subscriptions())
    await tell(range(300, 310))
    async with asyncio.timeout(120):
        while len(await column(hearer, EFFECTS)) < 310 or await relay.waiting():
            await asyncio.sleep(0.02)
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
    assert sorted(await column(hearer, EFFECTS)) == sorted(f"ds-{n}" for n in range(310))


async def test_what_is_older_than_inboxes_surely_know_is_not_told_again(bus_at, url, stores):  # noqa: F811
    teller, _ = stores
    relay = Relay(teller, bus_at(url))
    async with teller.work() as uow:
        for n in range(3):
            uow.emit(DatasetOffline(id=f"ds-{n}"), subject="ds")
    now = teller.clock.now()
    [old, lately, unsent] = await column(teller, select(outbox.c.id).order_by(outbox.c.id))
    async with teller.database.writing() as connection:
        for row, ago in ((old, TOLD_AGAIN + timedelta(hours=1)), (lately, TOLD_AGAIN - timedelta(hours=1))):
            await connection.execute(update(outbox).where(outbox.c.id == row).values(sent_at=now - ago))
    await relay.tell_again()
    unmarked = select(outbox.c.id).where(outbox.c.sent_at.is_(None)).order_by(outbox.c.id)
    assert await column(teller, unmarked) == [lately, unsent]


async def test_a_broker_that_knows_us_is_told_nothing_again(bus_at, url):
    told = []

    async def tell_again() -> None:
        told.append(1)

    for _ in range(2):
        bus = bus_at(url)
        bus.on_loss("teller-svc", tell_again)
        await bus.start([Ear().subscription])
        await bus.publish([event()])
        await bus.close()
    assert len(told) == 1, "a broker that is new knows nothing yet"


async def test_while_it_can_not_be_told_again_nothing_new_is_told_either(bus_at, url):
    away = asyncio.Event()

    async def tell_again() -> None:
        if not away.is_set():
            raise Unavailable("database_unavailable", "The database is away.")

    bus = bus_at(url)
    bus.on_loss("teller-svc", tell_again)
    starting = asyncio.create_task(bus.start([]))
    await eventually(lambda: "told again" in repr(bus._publisher.link.trouble))
    away.set()
    await starting
    await published(bus, event())
