"""The broker dies, the network swallows, a queue is deleted: the bus says so at once and resumes by itself."""

import asyncio

import pytest

from common.bus.rabbitmq import bus as starting
from common.bus.rabbitmq import publisher
from common.ports.bus import BusUnavailable
from tests.common.bus.conftest import Ear, event, eventually, published
from tests.servers.proxy import Proxy
from tests.servers.rabbitmq import SECONDS_UNTIL_A_NEW_QUEUE_LASTS


async def unwell(bus) -> None:
    """Raise what `ping` raises, once it does."""
    async with asyncio.timeout(120):
        while True:
            await bus.ping()
            await asyncio.sleep(0.01)


async def well(bus) -> None:
    """Return once `ping` raises nothing."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await bus.ping()
            except BusUnavailable:
                await asyncio.sleep(0.01)


async def test_a_queue_that_is_deleted_under_its_consumer_is_declared_again_and_nothing_is_lost(
    rabbitmq, vhost, bus_at, url, bus, ear
):
    """What is told while it is not there is in the log, from which the new queue is filled."""
    other, sender = Ear("other"), bus_at(url)
    await bus.start([ear.subscription, other.subscription])
    await sender.start([])
    sent = []
    for round_ in range(120):
        await sender.publish([one := event()])
        sent.append(one.id)
        if round_ % 40 == 10:
            await well(bus)
            await asyncio.sleep(SECONDS_UNTIL_A_NEW_QUEUE_LASTS)
            seen = asyncio.create_task(unwell(bus))  # it says so for a second only
            await asyncio.to_thread(rabbitmq.manage, "DELETE", f"queues/{vhost}/test-svc.online")
            with pytest.raises(BusUnavailable, match="consumer"):
                await seen
        await asyncio.sleep(0.01)
    assert set(await ear.until(120)) == set(sent)
    assert await other.until(120) == sent, "the other queue was left alone"
    await well(bus)
    await sender.close()


async def test_a_broker_that_is_killed_loses_nothing_and_the_bus_resumes(rabbitmq, vhost, bus, ear, monkeypatch):
    """What a dead broker did not confirm is known by the lost connection, not by waiting for it."""
    monkeypatch.setattr(publisher, "CONFIRM_SECONDS", 3600.0)
    ear.open.clear()
    await bus.start([ear.subscription])
    before = [event(sequence=n) for n in range(200)]
    await bus.publish(before)
    await asyncio.to_thread(rabbitmq.kill)
    with pytest.raises(BusUnavailable):
        await bus.publish([event()])
    with pytest.raises(BusUnavailable):
        await bus.ping()
    await asyncio.to_thread(rabbitmq.start)
    ear.open.set()
    await published(bus, after := event())
    heard = await ear.until(201)
    assert set(heard) == {e.id for e in (*before, after)}
    await bus.ping()


async def test_a_publish_into_a_black_hole_ends_in_time_and_is_said_to_be_unconfirmed(
    rabbitmq, vhost, bus_at, ear, monkeypatch
):
    monkeypatch.setattr(publisher, "CONFIRM_SECONDS", 0.3)
    async with Proxy(rabbitmq.port) as proxy:
        bus = bus_at(rabbitmq.url(vhost, proxy.port))
        await bus.start([ear.subscription])
        proxy.black_hole()
        with pytest.raises(BusUnavailable, match="not confirmed"):
            await bus.publish([sent := event()])
        proxy.heal()
        await published(bus, sent)
        await ear.until(1)
        await bus.close()


async def test_silence_is_noticed_by_heartbeats_and_nobody_is_cancelled_for_it(rabbitmq, vhost, bus_at, ear):
    """aio-pika ends in a CancelledError here, which `except Exception` would miss."""
    async with Proxy(rabbitmq.port) as proxy:
        bus = bus_at(rabbitmq.url(vhost, proxy.port) + "?heartbeat=1")
        await bus.start([ear.subscription])
        proxy.black_hole()
        with pytest.raises(BusUnavailable):
            await bus.publish([event()])
        with pytest.raises(BusUnavailable):
            await unwell(bus)
        proxy.heal()
        await published(bus, sent := event())
        await eventually(lambda: sent.id in {e.id for e in ear.heard})
        await bus.close()


async def test_connections_that_are_reset_are_made_again(rabbitmq, vhost, bus_at, ear):
    async with Proxy(rabbitmq.port) as proxy:
        bus = bus_at(rabbitmq.url(vhost, proxy.port))
        await bus.start([ear.subscription])
        for _ in range(3):
            proxy.cut()
            await published(bus, event())
        await eventually(lambda: len({e.id for e in ear.heard}) == 3)
        await bus.close()


async def test_a_service_that_starts_before_the_broker_needs_no_second_start(rabbitmq, vhost, bus_at, ear, monkeypatch):
    """It starts when the first try has failed, and waits for no second one."""
    monkeypatch.setattr(starting, "START_SECONDS", 3600.0)
    async with Proxy(1) as proxy:
        bus = bus_at(rabbitmq.url(vhost, proxy.port))
        await bus.start([ear.subscription])
        with pytest.raises(BusUnavailable):
            await bus.publish([event()])
        proxy.target = rabbitmq.port
        await published(bus, sent := event())
        assert set(await ear.until(1)) == {sent.id}
        await bus.close()


async def test_a_publisher_that_is_cancelled_stays_cancelled(rabbitmq, vhost, bus_at, ear):
    async with Proxy(rabbitmq.port) as proxy:
        bus = bus_at(rabbitmq.url(vhost, proxy.port))
        await bus.start([ear.subscription])
        proxy.black_hole()
        publishing = asyncio.create_task(bus.publish([sent := event()]))
        await asyncio.sleep(0.05)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        proxy.heal()
        await published(bus, sent)
        await ear.until(1)
        await bus.close()
