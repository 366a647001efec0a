"""Dead letters of a queue: what killed its consumer again and again, or what its inbox refused for good.

Handlers that fail have dead letters of their own, in the inbox (`common.db.inbox`); these here never got so far.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

import aio_pika
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity

from common.bus.rabbitmq.link import CONNECT_SECONDS, LOST
from common.bus.rabbitmq.topology import dead_queue
from common.kernel.errors import NotFound
from common.ports.bus import BusUnavailable
from common.ports.dead import DeadDelivery

ASK_SECONDS = 5.0
LISTED = 200


class DeadQueue:
    """The dead letters of one queue, for an operator: seldom asked, so each call connects for itself."""

    def __init__(self, url: str, queue: str) -> None:
        self._url = url
        self.queue = queue

    async def list(self) -> Sequence[DeadDelivery]:
        """The oldest of them (200 at the most), which stay. Raises BusUnavailable."""
        async with self._opened() as channel:
            return [_seen(self.queue, message) async for message in self._each(channel, LISTED)]

    async def replay(self, message_id: str) -> None:
        """Give one back to its queue. Raises NotFound (`dead_letter_not_found`), BusUnavailable."""
        if not await self.replay_some([message_id]):
            raise NotFound("dead_letter_not_found", f"{self.queue} has no dead letter {message_id}.")

    async def replay_some(self, ids: Collection[str] | None = None) -> Sequence[str]:
        """Give these back to their queue, or all that lie there now; gives the ids of those that were there.

        All are in hand before the first goes, so what dies again at once is not given back twice. Raises
        BusUnavailable.
        """
        async with self._opened() as channel:
            chosen = []
            async for message in self._each(channel):
                letter = _seen(self.queue, message)
                if ids is None or letter.id in ids:
                    chosen.append((message, letter.id))
                if ids is not None and len(chosen) == len(ids):
                    break
            for message, _ in chosen:
                await self._give_back(channel, message)
        return [id_ for _, id_ in chosen]

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

    async def _each(self, channel: AbstractChannel, at_most: int | None = None) -> AsyncIterator[Any]:
        """What lies there now; nothing where the queue is still to be declared.

        It is taken until there is no more, not counted: the broker counts what is in hand of one who has just left
        until it has written down that they have.
        """
        try:
            letters = await channel.declare_queue(dead_queue(self.queue), passive=True, timeout=ASK_SECONDS)
        except ChannelNotFoundEntity:
            return
        for _ in count() if at_most is None else range(at_most):
            message = await letters.get(no_ack=False, fail=False, timeout=ASK_SECONDS)
            if message is None:
                return
            yield message


class DeadQueues:
    """The dead letters of every queue of a broker. One look at a time: what one has in hand no other would see."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._alone = asyncio.Lock()

    async def list(self, queue: str) -> Sequence[DeadDelivery]:
        """The oldest of them (200 at the most), which stay. Raises BusUnavailable."""
        async with self._alone:
            return await DeadQueue(self._url, queue).list()

    async def replay(self, queue: str, ids: Collection[str] | None = None) -> Sequence[str]:
        """Give these back to their queue, or all; gives the ids of those that were there. Raises BusUnavailable."""
        async with self._alone:
            return await DeadQueue(self._url, queue).replay_some(ids)


def _seen(queue: str, message: AbstractIncomingMessage) -> DeadDelivery:
    reason = str(message.headers.get("x-first-death-reason", "unknown"))
    return DeadDelivery(queue, message.message_id or "", reason, message.body, _died(message.headers))


def _died(headers: Mapping[str, Any]) -> datetime | None:
    """When the broker says that it died; it lists every death, the last one first."""
    deaths = headers.get("x-death") or [{}]
    told = deaths[0].get("time")
    if not isinstance(told, datetime):
        return None
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)
