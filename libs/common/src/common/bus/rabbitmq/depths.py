"""How much lies in queues, for figures. Whoever declares a queue passively is told, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity

from common.bus.rabbitmq.link import LOST
from common.bus.rabbitmq.topology import dead_queue
from common.ports.bus import BusUnavailable, QueueDepth, Subscription

ASK_SECONDS = 2.0


async def depths(connection: AbstractConnection, subscriptions: Sequence[Subscription]) -> Sequence[QueueDepth]:
    """Of each queue that is there, in this order. Raises BusUnavailable."""
    found = []
    try:
        for one in subscriptions:
            try:
                found.append(await _depth(connection, one))
            except ChannelNotFoundEntity:  # deleted, or not yet declared: its listener is about to
                continue
    except LOST as error:
        raise BusUnavailable("bus_unavailable", f"The broker does not tell of its queues: {error!r}") from error
    return found


async def _depth(connection: AbstractConnection, one: Subscription) -> QueueDepth:
    """On a channel of its own, which the broker closes where there is no such queue (AMQP 0-9-1 §1.7.2.1)."""
    async with connection.channel(publisher_confirms=False) as channel:
        counts = []
        for name in (one.queue, dead_queue(one.queue)):
            queue = await channel.declare_queue(name, passive=True, timeout=ASK_SECONDS)
            counts.append(queue.declaration_result.message_count or 0)
    return QueueDepth(one.handler, *counts)
