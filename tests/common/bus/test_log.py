"""The log keeps what nobody was bound to, and a queue that is new hears it before anything else."""

import asyncio

import pytest
from sqlalchemy import text

from common.bus.rabbitmq import DeadQueue, listener, topology
from common.bus.rabbitmq.topology import LOG
from common.contracts.dataset import DatasetOffline
from common.db.inbox import Inbox
from common.db.outbox import Relay
from common.ports.bus import BusUnavailable, Subscription
from tests.common.bus.conftest import Ear, event, eventually, published
from tests.common.bus.test_ledger import column, on_offline, stores  # noqa: F401 - a fixture
from tests.servers.rabbitmq import SECONDS_UNTIL_A_NEW_QUEUE_LASTS

QUEUE = "test-svc.online"


async def test_a_service_that_runs_for_the_first_time_hears_what_was_told_before(bus_at, url, ear):
    sender = bus_at(url)
    await sender.start([])
    sent = [event(sequence=n) for n in range(700)]
    await sender.publish(sent)
    await sender.publish([event("job.started")])
    late = bus_at(url)
    await late.start([ear.subscription])
    assert [e.id for e in ear.heard] == [e.id for e in sent], "all of it, in order, when start returns"
    await sender.publish([more := event()])
    assert (await ear.until(701))[-1] == more.id
    assert len(ear.heard) == 701


async def test_a_queue_that_is_there_is_not_filled_again(bus_at, url, ear):
    first = bus_at(url)
    await first.start([ear.subscription])
    await first.publish([event()])
    await ear.until(1)
    await first.close()
    again = bus_at(url)
    await again.start([ear.subscription])
    await again.publish([event()])
    await ear.until(2)
    assert len(ear.heard) == 2


async def test_who_is_killed_while_it_fills_fills_again_from_the_beginning(rabbitmq, vhost, bus_at, url, ear):
    sender = bus_at(url)
    await sender.start([])
    sent = [event(sequence=n) for n in range(500)]
    await sender.publish(sent)
    ear.open.clear()
    killed = bus_at(url)
    starting = asyncio.create_task(killed.start([ear.subscription]))
    await eventually(lambda: rabbitmq.manage("GET", f"queues/{vhost}?columns=name") and _has(rabbitmq, vhost, QUEUE))
    await killed.close()
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    assert not _has(rabbitmq, vhost, f"{QUEUE}.types")
    ear.open.set()
    await bus_at(url).start([ear.subscription])
    assert [e.id for e in ear.heard] == [e.id for e in sent]
    assert _has(rabbitmq, vhost, f"{QUEUE}.types")


def _has(rabbitmq, vhost, name) -> bool:
    return name in {one["name"] for one in rabbitmq.manage("GET", f"queues/{vhost}?columns=name")}


async def test_what_the_inbox_refuses_for_good_becomes_a_dead_letter_here_too(bus_at, url, ear, monkeypatch):
    monkeypatch.setattr(listener, "FIRST_PAUSE_SECONDS", 0.001)
    bad, good = event(), [event() for _ in range(20)]

    async def receive(events) -> None:
        if any(e.id == bad.id for e in events):
            raise ValueError("it can't be stored")
        await ear.receive(events)

    sender = bus_at(url)
    await sender.start([])
    await sender.publish([*good[:10], bad, *good[10:]])
    await bus_at(url).start([Subscription("test-svc", "online", ear.subscription.types, receive)])
    assert [e.id for e in ear.heard] == [e.id for e in good]
    assert [(one.message_id, one.reason) for one in await DeadQueue(url, QUEUE).list()] == [(bad.id, "rejected")]


async def test_a_log_that_is_deleted_is_made_again_and_nothing_is_confirmed_without_it(rabbitmq, vhost, bus_at, url):
    sender = bus_at(url)
    await sender.start([])
    await asyncio.to_thread(rabbitmq.manage, "DELETE", f"queues/{vhost}/{LOG}")
    with pytest.raises(BusUnavailable, match=LOG):
        await sender.publish([sent := event()])
    await published(sender, sent)
    ear = Ear()
    await bus_at(url).start([ear.subscription])
    assert [e.id for e in ear.heard] == [sent.id]


async def test_what_others_put_into_the_log_is_passed_over(rabbitmq, vhost, bus_at, url, ear):
    sender = bus_at(url)
    await sender.start([])
    for kind in (topology.BATCH_TYPE, "text/plain"):
        odd = {"routing_key": LOG, "payload": "?", "payload_encoding": "string", "properties": {"content_type": kind}}
        await asyncio.to_thread(rabbitmq.manage, "POST", f"exchanges/{vhost}/amq.default/publish", odd)
    await sender.publish([sent := event()])
    await bus_at(url).start([ear.subscription])
    assert [e.id for e in ear.heard] == [sent.id]


async def test_the_log_survives_a_broker_that_is_killed(rabbitmq, vhost, bus_at, url, ear):
    sender = bus_at(url)
    await sender.start([])
    sent = [event(sequence=n) for n in range(300)]
    await sender.publish(sent)
    await asyncio.to_thread(rabbitmq.kill)
    await asyncio.to_thread(rabbitmq.start)
    await bus_at(url).start([ear.subscription])
    assert set(await ear.until(300)) == {e.id for e in sent}


async def test_queues_deleted_under_two_instances_while_events_flow_lose_none_and_double_no_effect(
    rabbitmq,
    vhost,
    bus_at,
    url,
    stores,  # noqa: F811
):
    teller, hearer = stores
    async with hearer.database.writing() as connection:
        await connection.execute(text("CREATE TABLE effects (id TEXT)"))
    for _ in range(2):
        await bus_at(url).start(Inbox(hearer, "hearer-svc", {DatasetOffline: [on_offline]}).subscriptions())
    sender = bus_at(url)
    await sender.start([])
    relay = asyncio.create_task(Relay(teller, sender).run())
    for n in range(200):
        async with teller.work() as uow:
            uow.emit(DatasetOffline(id=f"ds-{n}"), subject=f"ds-{n % 7}")
        if n % 50 == 20:
            await eventually(lambda: _has(rabbitmq, vhost, "hearer-svc.on_offline"))
            # one that is deleted while its worker for dead letters starts ends those workers for good (RabbitMQ 3.10)
            await asyncio.sleep(SECONDS_UNTIL_A_NEW_QUEUE_LASTS)
            await asyncio.to_thread(rabbitmq.manage, "DELETE", f"queues/{vhost}/hearer-svc.on_offline")
    async with asyncio.timeout(60):
        while len(set(await column(hearer, text("SELECT id FROM effects")))) < 200:
            await asyncio.sleep(0.05)
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    assert sorted(await column(hearer, text("SELECT id FROM effects"))) == sorted(f"ds-{n}" for n in range(200))
