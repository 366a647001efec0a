"""Dead letters with the real broker: those that it keeps stand beside the inbox's, and find their way back."""

import asyncio

import aio_pika
import pytest

from common.bus.memory import MemoryBus
from common.bus.rabbitmq import EXCHANGE, DeadQueues, listener
from common.contracts.dataset import DatasetOffline
from common.db.database import Database
from common.db.inbox import Inbox
from common.db.migrate import upgrade
from common.db.outbox import Relay
from common.db.uow import Store
from common.kernel.clock import SystemClock
from common.ports.bus import BusUnavailable, Subscription
from common.web.dead import DeadLetters, Letter
from tests.servers.proxy import Proxy

SERVICE = "test-svc"
QUEUE = f"{SERVICE}.on_offline"


class Handlers:
    """One handler, which fails for what it is told to fail for."""

    def __init__(self) -> None:
        self.fails: set[str] = set()
        self.done: list[str] = []

    async def on_offline(self, uow, heard) -> None:
        if heard.data.id in self.fails:
            raise ValueError("it has no room")
        uow.after_commit(lambda: self.done.append(heard.data.id))


@pytest.fixture
async def store(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.sqlite3'}")
    await upgrade(database)
    yield Store(database, SERVICE, SystemClock())
    await database.close()


async def told(store, bus, *ids: str) -> list[str]:
    """Events on their way, by the outbox; their ids."""
    async with store.work() as uow:
        for one in ids:
            uow.emit(DatasetOffline(id=one), subject=one)
    await Relay(store, bus).once()
    return [event.id for event in uow.events]


async def letters_of(letters: DeadLetters, count: int) -> list[Letter]:
    async with asyncio.timeout(60):
        while len(found := (await letters.page(50)).items) != count:
            await asyncio.sleep(0.05)
    return list(found)


def test_a_bus_without_queues_keeps_no_dead_letters(bus):
    assert MemoryBus().dead is None
    assert isinstance(bus.dead, DeadQueues)


async def test_both_kinds_are_listed_and_find_their_way_back(url, bus, store, monkeypatch):
    monkeypatch.setattr("common.db.inbox.MAX_ATTEMPTS", 1)
    monkeypatch.setattr(listener, "FIRST_PAUSE_SECONDS", 0.001)
    handlers = Handlers()
    ear = Inbox(store, SERVICE, {DatasetOffline: [handlers.on_offline]})
    letters = DeadLetters(SERVICE, ear, bus.dead)
    (subscription,) = ear.subscriptions()
    refused: set[str] = {"ds-2"}

    async def receive(events) -> None:
        if any(event.subject in refused for event in events):
            raise RuntimeError("it can't be stored")
        await subscription.receive(events)

    await bus.start([Subscription(SERVICE, "on_offline", subscription.types, receive)])
    handlers.fails = {"ds-1"}
    _, by_handler, by_inbox = await told(store, bus, "ds-0", "ds-1", "ds-2")
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        await exchange.publish(aio_pika.Message(b"{", message_id="odd"), "dataset.offline", timeout=5)

    first, *others = await letters_of(letters, 3)
    assert (first.id, first.kept, first.attempts) == (f"{QUEUE}.{by_handler}", "inbox", 1)
    by_id = {one.id: one for one in others}
    stored, odd = by_id[f"{QUEUE}.dead.{by_inbox}"], by_id[f"{QUEUE}.dead.odd"]
    assert (stored.kept, stored.error, stored.subject, stored.type) == ("broker", "rejected", "ds-2", "dataset.offline")
    assert stored.since is not None
    assert (odd.event_id, odd.error) == (None, "rejected: its content is no event")

    handlers.fails, refused = set(), set()
    done = await letters.replay([first.id, stored.id, f"{QUEUE}.dead.absent"])
    assert done.replayed == [first.id, stored.id]
    assert [one.code for one in done.failed] == ["dead_letter_not_found"]
    retrying = asyncio.create_task(ear.run())
    async with asyncio.timeout(60):
        while set(handlers.done) != {"ds-0", "ds-1", "ds-2"}:
            await asyncio.sleep(0.02)
    retrying.cancel()
    await asyncio.gather(retrying, return_exceptions=True)
    assert [one.id for one in await letters_of(letters, 1)] == [odd.id]


async def test_all_go_back_once_even_what_dies_again_at_once(url, bus, store, monkeypatch):
    monkeypatch.setattr(listener, "FIRST_PAUSE_SECONDS", 0.001)
    ear = Inbox(store, SERVICE, {DatasetOffline: [Handlers().on_offline]})
    letters = DeadLetters(SERVICE, ear, bus.dead)
    await bus.start(ear.subscriptions())
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        for n in range(5):
            message = aio_pika.Message(b"{", message_id=None if n == 4 else f"odd-{n}")
            await exchange.publish(message, "dataset.offline", timeout=5)
    before = {one.id for one in await letters_of(letters, 5)}
    assert set((await letters.replay_all()).replayed) == before
    assert {one.id for one in await letters_of(letters, 5)} == before


async def test_a_queue_that_is_not_declared_yet_has_none_and_a_broker_that_is_away_says_so(rabbitmq, vhost):
    assert await DeadQueues(rabbitmq.url(vhost)).list("nobody.on_nothing") == []
    assert await DeadQueues(rabbitmq.url(vhost)).replay("nobody.on_nothing") == []
    async with Proxy(1) as proxy:
        with pytest.raises(BusUnavailable):
            await DeadQueues(rabbitmq.url(vhost, proxy.port)).list("nobody.on_nothing")


async def test_looking_again_and_again_takes_nothing_away(rabbitmq, vhost, url, bus, store):
    """RabbitMQ 4 would drop it at the twentieth look, unless the queue says otherwise."""
    ear = Inbox(store, SERVICE, {DatasetOffline: [Handlers().on_offline]})
    await bus.start(ear.subscriptions())
    assert rabbitmq.queue(vhost, f"{QUEUE}.dead")["arguments"]["x-delivery-limit"] > 1_000_000
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        await exchange.publish(aio_pika.Message(b"{", message_id="odd"), "dataset.offline", timeout=5)
    letters = DeadLetters(SERVICE, ear, bus.dead)
    await letters_of(letters, 1)
    for _ in range(25):
        assert [one.id for one in (await letters.page(50)).items] == [f"{QUEUE}.dead.odd"]


async def test_two_who_look_at_once_see_the_same(url, bus, store):
    ear = Inbox(store, SERVICE, {DatasetOffline: [Handlers().on_offline]})
    await bus.start(ear.subscriptions())
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        await exchange.publish(aio_pika.Message(b"{", message_id="odd"), "dataset.offline", timeout=5)
    letters = DeadLetters(SERVICE, ear, bus.dead)
    await letters_of(letters, 1)
    pages = await asyncio.gather(*(letters.page(50) for _ in range(4)))
    assert [[one.id for one in page.items] for page in pages] == [[f"{QUEUE}.dead.odd"]] * 4
