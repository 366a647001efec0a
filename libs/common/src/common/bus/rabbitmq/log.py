"""The log: a stream that keeps every event for some days, from which a queue that is newly made is filled.

A topic exchange drops what nobody is bound to. So what was told before a service ran first, while its queue was
deleted, or before an upgrade that hears more types, is read from the log before its queue is consumed. Which types a
queue was given everything of is noted in the broker (`common.bus.rabbitmq.notes`) once it is done: killed anywhere, it
is done again, and inboxes know what they have heard.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as UnderlyingChannel
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldTable
from pydantic import TypeAdapter, ValidationError

from common.bus.rabbitmq.link import closed, until_one_ends
from common.bus.rabbitmq.topology import BATCH_TYPE, DEAD_EXCHANGE, DECLARE_SECONDS, LOG, LOG_AGE, Topology
from common.kernel.events import CloudEvent
from common.ports.bus import Subscription

PREFETCH = 20
UNDER_WAY_SECONDS = 0.1
"""How long another connection's events may take from the broker into the log: what the queue was made too late for is
there before. It takes less than a millisecond."""

MARK = "application/x-modelyard-mark"
"""The content type of what is written behind the events to know, when reading, that one has seen them all."""

BATCH = 200
Deliveries = asyncio.Queue[DeliveredMessage]
_EVENTS = TypeAdapter(list[CloudEvent])

Refused = Callable[[Sequence[CloudEvent]], Awaitable[Sequence[CloudEvent]]]
"""Hands events over; gives those that were refused for good."""

log = structlog.get_logger("bus")


async def fill(connection: AbstractConnection, topology: Topology, subscription: Subscription, hand: Refused) -> None:
    """Hand over everything in the log of the subscription's types; its queue is bound to them already."""
    log.info("a queue hears more, that is read from the log", queue=subscription.queue, types=[*subscription.types])
    async with connection.channel() as channel:
        await topology.declare_log(channel)
        await asyncio.sleep(UNDER_WAY_SECONDS)
        mark = Message(b"", content_type=MARK, message_id=uuid.uuid4().hex, delivery_mode=DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(mark, LOG, mandatory=True, timeout=DECLARE_SECONDS)
        count = await _read(connection, channel, str(mark.message_id), subscription, hand)
    log.info("a queue was filled", queue=subscription.queue, events=count)


async def _read(
    connection: AbstractConnection, dead: AbstractChannel, mark: str, subscription: Subscription, hand: Refused
) -> int:
    """Read up to the mark; what is refused for good goes where the queue's dead letters are."""
    deliveries: Deliveries = asyncio.Queue()
    cancelled = asyncio.Event()
    counted: list[int] = []
    async with connection.channel(publisher_confirms=False) as reading:
        await reading.set_qos(prefetch_count=PREFETCH, timeout=DECLARE_SECONDS)
        channel = await reading.get_underlay_channel()
        channel.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
        since: FieldTable = {"x-stream-offset": LOG_AGE}
        await channel.basic_consume(LOG, deliveries.put, arguments=since, timeout=DECLARE_SECONDS)

        async def to_the_mark() -> None:
            while mark not in (batch := await _batch(channel, deliveries)):
                counted.append(await _hand_over(batch, subscription, hand, dead))
            counted.append(await _hand_over(batch, subscription, hand, dead))

        await until_one_ends(to_the_mark(), cancelled.wait(), closed(reading))
    if cancelled.is_set():
        raise ConnectionError("the log was deleted while it was read")
    return sum(counted)


async def _batch(
    channel: UnderlyingChannel, deliveries: asyncio.Queue[DeliveredMessage]
) -> dict[str, DeliveredMessage]:
    """What is at hand, by message id. It is acknowledged at once: who reads a stream only says that more may come."""
    batch = [await deliveries.get()]
    while not deliveries.empty():
        batch.append(deliveries.get_nowait())
    assert batch[-1].delivery_tag is not None
    await channel.basic_ack(batch[-1].delivery_tag, multiple=True, wait=False)
    return {str(one.header.properties.message_id): one for one in batch}


async def _hand_over(
    batch: Mapping[str, DeliveredMessage], subscription: Subscription, hand: Refused, dead: AbstractChannel
) -> int:
    heard = [event for one in batch.values() for event in _events(one) if event.type in subscription.types]
    for start in range(0, len(heard), BATCH):
        for refused in await hand(heard[start : start + BATCH]):
            await _set_aside(dead, subscription.queue, refused)
    return len(heard)


def _events(message: DeliveredMessage) -> list[CloudEvent]:
    """What it tells; nothing where it is a mark, or what anybody else has put there."""
    properties = message.header.properties
    if properties.content_type != BATCH_TYPE:
        return []
    try:
        return _EVENTS.validate_json(message.body)
    except ValidationError as error:
        log.warning("no events in the log", message_id=properties.message_id, error=repr(error))
        return []


async def _set_aside(channel: AbstractChannel, queue: str, event: CloudEvent) -> None:
    body = event.model_dump_json(exclude_none=True).encode()
    letter = Message(
        body,
        content_type="application/cloudevents+json",
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=event.id,
        headers={"x-first-death-reason": "rejected"},
    )
    exchange = await channel.get_exchange(DEAD_EXCHANGE, ensure=False)
    await exchange.publish(letter, queue, mandatory=True, timeout=DECLARE_SECONDS)
