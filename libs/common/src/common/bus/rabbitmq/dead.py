"""Dead letters of a queue: what killed its consumer again and again, or what its inbox refused for good.

Handlers that fail have dead letters of their own, in the inbox (`common.db.inbox`); these here never got so far.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from common.bus.rabbitmq.link import CONNECT_SECONDS, LOST
from common.bus.rabbitmq.topology import dead_queue
from common.kernel.errors import NotFound
from common.ports.bus import BusUnavailable

ASK_SECONDS = 5.0
LISTED = 200


@dataclass(frozen=True)
class DeadDelivery:
    """A message as it lies there. `reason` is the broker's: `rejected`, `delivery_limit` …"""

    queue: str
    message_id: str
    reason: str
    body: bytes


class DeadQueue:
    """The dead letters of one queue, for an operator: seldom asked, so each call connects for itself."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self.queue = queue

    async def list(self) -> list[DeadDelivery]:
        """The oldest of them, which stay. Raises BusUnavailable, NotFound (`queue_not_found`)."""
        async with self._opened() as channel:
            return [self._seen(message) async for message in self._each(channel)]

    async def replay(self, message_id: str) -> None:
        """Give one back to its queue. Raises NotFound (`dead_letter_not_found`), BusUnavailable."""
        async with self._opened() as channel:
            async for message in self._each(channel):
                if message.message_id == message_id:
                    await self._give_back(channel, message)
                    return
        raise NotFound("dead_letter_not_found", f"{self.queue} has no dead letter {message_id}.")

    async def _give_back(self, channel: AbstractChannel, message: AbstractIncomingMessage) -> None:
        again = Message(
            message.body,
            content_type=message.content_type,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=message.message_id,
        )
        await channel.default_exchange.publish(again, self.queue, mandatory=True, timeout=ASK_SECONDS)
        await message.ack()

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[AbstractChannel]:
        """A channel on whose closing everything that was looked at goes back to its place."""
        try:
            connection = await aio_pika.connect(self._url, timeout=CONNECT_SECONDS)
            async with connection, connection.channel(on_return_raises=True) as channel:
                yield channel
        except LOST as error:
            raise BusUnavailable("bus_unavailable", f"The broker is not available: {error!r}") from error

    async def _each(self, channel: AbstractChannel) -> AsyncIterator[AbstractIncomingMessage]:
        letters = await channel.get_queue(dead_queue(self.queue), ensure=False)
        for _ in range(LISTED):
            message = await letters.get(no_ack=False, fail=False, timeout=ASK_SECONDS)
            if message is None:
                return
            yield message

    def _seen(self, message: AbstractIncomingMessage) -> DeadDelivery:
        reason = str(message.headers.get("x-first-death-reason", "unknown"))
        return DeadDelivery(self.queue, message.message_id or "", reason, message.body)
