"""What the broker promises and the library hides: who hears what, once the ordinary and the odd is sent."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial

import aio_pika
import pytest

from common.bus.rabbitmq import EXCHANGE, DeadQueue, RabbitBus, Topology, TopologyDiffers, listener
from common.kernel.errors import NotFound, Unavailable
from common.kernel.events import CloudEvent
from common.ports.bus import Broadcast, BusUnavailable
from common.ports.dead import DeadDelivery
from tests.common.bus.conftest import Ear, event, eventually, published
from tests.servers.proxy import Proxy

QUEUE = "test-svc.online"


async def test_everything_in_the_broker_is_durable_replicated_and_dead_letters_are_kept(rabbitmq, vhost, bus, ear):
    ear.open.clear()
    await bus.start([ear.subscription])
    sent = event()
    await bus.publish([sent])
    queue, dead = rabbitmq.queue(vhost, QUEUE), rabbitmq.queue(vhost, f"{QUEUE}.dead")
    for each in (queue, dead):
        assert (each["type"], each["durable"], each["auto_delete"]) == ("quorum", True, False)
    assert queue["arguments"] | {"x-max-length": 0} == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 4,
        "x-max-length": 0,
        "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "modelyard.dead",
        "x-dead-letter-routing-key": QUEUE,
        "x-dead-letter-strategy": "at-least-once",
    }
    exchange = rabbitmq.manage("GET", f"exchanges/{vhost}/{EXCHANGE}")
    assert (exchange["type"], exchange["durable"]) == ("topic", True)
    await bus.close()
    async with await aio_pika.connect(rabbitmq.url(vhost)) as connection:
        message = await (await (await connection.channel()).get_queue(QUEUE)).get(timeout=5)
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        assert (message.message_id, message.routing_key) == (sent.id, sent.type)
        assert message.content_type == "application/cloudevents+json"


async def test_starting_again_finds_the_same_topology(bus_at, url, ear):
    for _ in range(2):
        bus = bus_at(url)
        await bus.start([ear.subscription])
        await bus.ping()
        await bus.close()


async def test_a_queue_that_was_made_otherwise_is_refused_with_its_name(bus_at, url, ear):
    await bus_at(url).start([ear.subscription])
    other = bus_at(url, Topology(max_length=7))
    with pytest.raises(TopologyDiffers, match=QUEUE):
        await other.start([ear.subscription])
    with pytest.raises(BusUnavailable):
        await other.publish([event()])


async def test_nobody_listening_fails_nothing_and_is_counted(bus, ear):
    """Returned as unroutable is not confirmed as delivered: without `on_return_raises` nobody would know."""
    await bus.start([ear.subscription])
    heard = event()
    await bus.publish([event("job.started"), heard, event("job.failed")])
    assert await ear.until(1) == [heard.id]
    assert bus.unrouted == 2


async def test_the_same_id_is_never_in_flight_twice(rabbitmq, vhost, bus, ear):
    """With two in flight the library confirms the wrong one: every publish that returns must have arrived."""
    ear.open.clear()
    await bus.start([ear.subscription])
    one = event()
    await asyncio.gather(*(bus.publish([one]) for _ in range(5)), bus.publish([one, one, event()]))
    ear.open.set()
    await ear.until(2)
    await eventually(lambda: len(ear.heard) == 7)
    assert Counter(e.id for e in ear.heard)[one.id] == 6


async def test_order_holds_through_batches(bus, ear):
    await bus.start([ear.subscription])
    sent = [event(sequence=n) for n in range(1000)]
    for start in range(0, 1000, 250):
        await bus.publish(sent[start : start + 250])
    assert await ear.until(1000) == [e.id for e in sent]


async def test_what_is_larger_than_a_frame_arrives_whole_among_others(bus, ear):
    """Frames end at 128 KiB, as RabbitMQ is set up; what is sent together is written as one."""
    await bus.start([ear.subscription])
    sent = [event(), event().model_copy(update={"data": {"name": "数" * 150_000}}), event()]
    await bus.publish(sent)
    await ear.until(3)
    assert ear.heard == sent


async def test_two_instances_share_a_queue(bus_at, url):
    ears = [Ear(), Ear()]
    for each in ears:
        await bus_at(url).start([each.subscription])
    sent = [event() for _ in range(300)]
    sender = bus_at(url)
    await sender.start([])
    for one in sent:
        await sender.publish([one])
    await eventually(lambda: sum(len(each.heard) for each in ears) == 300)
    assert Counter(e.id for each in ears for e in each.heard) == Counter(e.id for e in sent)
    assert all(each.heard for each in ears)


async def test_two_instances_each_hear_a_broadcast_and_their_queues_go_with_them(rabbitmq, vhost, bus_at, url):
    heard: list[list[str]] = [[], []]
    buses = [bus_at(url) for _ in heard]
    for place, bus in zip(heard, buses, strict=True):
        tell = partial(lambda mine, events: mine.extend(e.id for e in events), place)
        await bus.start([], [Broadcast("test-svc", "screen", frozenset({"dataset.online"}), tell)])
    sent = [event() for _ in range(50)]
    await buses[0].publish(sent)
    await eventually(lambda: [len(mine) for mine in heard] == [50, 50])
    assert heard == [[e.id for e in sent]] * 2
    await buses[1].close()
    await eventually(lambda: len(_screens(rabbitmq, vhost)) == 1)
    await buses[0].publish([event()])
    await eventually(lambda: [len(mine) for mine in heard] == [51, 50])


def _screens(rabbitmq, vhost) -> list[str]:
    names = [one["name"] for one in rabbitmq.manage("GET", f"queues/{vhost}?columns=name")]
    return [name for name in names if name.startswith("test-svc.screen.")]


async def test_a_broadcast_that_was_interrupted_says_that_it_begins_anew(rabbitmq, vhost, bus_at):
    began: list[int] = []
    heard: list[CloudEvent] = []
    async with Proxy(rabbitmq.port) as proxy:
        bus = bus_at(rabbitmq.url(vhost, proxy.port))
        types = frozenset({"dataset.online"})
        await bus.start([], [Broadcast("test-svc", "screen", types, heard.extend, lambda: began.append(1))])
        proxy.cut()
        await eventually(lambda: len(began) >= 2)
        await published(bus, sent := event())
        await eventually(lambda: sent.id in {one.id for one in heard})
        await bus.close()


async def test_what_was_not_acknowledged_comes_again_after_a_restart(bus_at, url, ear):
    bus = bus_at(url)
    ear.open.clear()
    await bus.start([ear.subscription])
    sent = [event() for _ in range(50)]
    await bus.publish(sent)
    await bus.close()
    ear.open.set()
    await bus_at(url).start([ear.subscription])
    assert await ear.until(50) == [e.id for e in sent]


async def test_an_inbox_that_is_away_is_waited_for_longer_than_the_delivery_limit(
    rabbitmq, vhost, bus, ear, monkeypatch
):
    monkeypatch.setattr(listener, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(listener, "LONGEST_PAUSE_SECONDS", 0.001)
    tried = 0

    async def away(events) -> None:
        nonlocal tried
        tried += 1
        if tried < 30:
            raise Unavailable("database_unavailable", "The database is away.")
        await ear.receive(events)

    await bus.start([type(ear.subscription)("test-svc", "online", ear.subscription.types, away)])
    sent = [event(), event()]
    await bus.publish(sent)
    assert await ear.until(2) == [e.id for e in sent]
    assert await DeadQueue(rabbitmq.url(vhost), QUEUE).list() == []


async def test_what_an_inbox_refuses_for_good_becomes_a_dead_letter_and_holds_up_nobody(url, bus, monkeypatch):
    monkeypatch.setattr(listener, "FIRST_PAUSE_SECONDS", 0.001)
    bad, good = event(), [event() for _ in range(20)]
    ear, mended = Ear(), False

    async def receive(events) -> None:
        if any(e.id == bad.id for e in events) and not mended:
            raise ValueError("it can't be stored")
        await ear.receive(events)

    await bus.start([type(ear.subscription)("test-svc", "online", ear.subscription.types, receive)])
    await bus.publish([*good[:10], bad, *good[10:]])
    assert await ear.until(20) == [e.id for e in good]
    dead = DeadQueue(url, QUEUE)
    letters = await letters_of(dead)
    assert [(one.message_id, one.reason) for one in letters] == [(bad.id, "rejected")]
    assert letters == await dead.list(), "looking at them takes nothing away"
    mended = True
    await dead.replay(bad.id)
    await ear.until(21)
    assert await dead.list() == []
    with pytest.raises(NotFound):
        await dead.replay(bad.id)


async def letters_of(dead: DeadQueue) -> Sequence[DeadDelivery]:
    """What lies there, as soon as anything does: the broker moves it in its own time."""
    async with asyncio.timeout(120):
        while not (letters := await dead.list()):
            await asyncio.sleep(0.02)
    return letters


async def test_what_kills_its_consumer_again_and_again_is_given_up_after_five_deliveries(url, bus, ear):
    ear.open.clear()
    await bus.start([ear.subscription])
    await bus.close()
    sender = RabbitBus(url)
    await sender.start([])
    await sender.publish([sent := event()])
    await sender.close()
    deliveries = 0
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue(QUEUE)
        while (message := await queue.get(timeout=5, fail=False)) is not None:
            deliveries += 1
            await message.nack(requeue=True)
    assert deliveries == 5
    (letter,) = await letters_of(DeadQueue(url, QUEUE))
    assert (letter.message_id, letter.reason) == (sent.id, "delivery_limit")


async def test_what_is_no_event_becomes_a_dead_letter(url, bus, ear):
    await bus.start([ear.subscription])
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        await exchange.publish(aio_pika.Message(b"{", message_id="odd"), "dataset.online", timeout=5)
    await bus.publish([sent := event()])
    assert await ear.until(1) == [sent.id]
    async with asyncio.timeout(60):
        while [one.message_id for one in await DeadQueue(url, QUEUE).list()] != ["odd"]:
            await asyncio.sleep(0.02)


async def test_of_a_type_that_only_an_earlier_version_heard_nothing_is_handed_over(bus_at, url):
    earlier, now = Ear("online", "dataset.online", "dataset.offline"), Ear("online", "dataset.online")
    bus = bus_at(url)
    await bus.start([earlier.subscription])
    await bus.close()
    bus = bus_at(url)
    await bus.start([now.subscription])
    await bus.publish([event("dataset.offline"), sent := event()])
    assert await now.until(1) == [sent.id]


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room(bus_at, url, ear):
    declared, sender = bus_at(url, Topology(max_length=3)), bus_at(url)
    await declared.start([ear.subscription])
    await declared.close()
    await sender.start([])

    async def fill() -> None:
        for _ in range(20):
            await sender.publish([event()])

    with pytest.raises(BusUnavailable, match="no room"):
        await fill()
    await bus_at(url, Topology(max_length=3)).start([ear.subscription])
    await ear.until(3)
    await published(sender, sent := event())
    await eventually(lambda: sent.id in {e.id for e in ear.heard})
