"""How much lies in the queues of a service, as an operator sees it."""

import asyncio

import aio_pika
import pytest

from common.bus.rabbitmq import EXCHANGE, listener
from common.db.standing import queues
from common.ports.bus import BusUnavailable, QueueDepth
from tests.common.bus.conftest import Ear, event
from tests.servers.rabbitmq import SECONDS_UNTIL_A_NEW_QUEUE_LASTS


async def depth(bus, wanted: QueueDepth, service: str = "test-svc") -> None:
    async with asyncio.timeout(60):
        while [wanted] != list(await bus.depths(service)):
            await asyncio.sleep(0.02)


@pytest.mark.row("P5")
async def test_what_nobody_has_in_hand_and_what_is_set_aside_is_counted(url, bus, ear, monkeypatch):
    monkeypatch.setattr(listener, "PREFETCH", 2)
    ear.open.clear()
    await bus.start([ear.subscription])
    await depth(bus, QueueDepth("online", 0, 0))
    await bus.publish([event(sequence=n) for n in range(1, 6)])
    await depth(bus, QueueDepth("online", 3, 0))
    ear.open.set()
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange(EXCHANGE)
        await exchange.publish(aio_pika.Message(b"{", message_id="odd"), "dataset.online", timeout=5)
    await depth(bus, QueueDepth("online", 0, 1))
    told = {figure.name: list(figure.values) for figure in await queues(bus, "test-svc")}
    labels = {"service": "test-svc", "handler": "online"}
    assert told == {"modelyard_queue_depth": [(labels, 0)], "modelyard_queue_dead_letters": [(labels, 1)]}
    assert await bus.depths("other-svc") == ()


async def test_a_queue_that_is_gone_is_left_out_and_a_broker_that_is_away_is_told(rabbitmq, vhost, bus, monkeypatch):
    monkeypatch.setattr(listener, "DECLARE_AGAIN_SECONDS", 60)
    await bus.start([Ear(name).subscription for name in ("online", "other")])
    await asyncio.sleep(SECONDS_UNTIL_A_NEW_QUEUE_LASTS)
    rabbitmq.manage("DELETE", f"queues/{vhost}/test-svc.online")
    await depth(bus, QueueDepth("other", 0, 0))
    await bus.close()
    with pytest.raises(BusUnavailable):
        await bus.depths("test-svc")
