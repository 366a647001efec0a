"""Hearing broadcasts: a queue of this instance's own, which ends with its connection."""

from __future__ import annotations

import asyncio
import uuid

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import DeliveredMessage
from pydantic import ValidationError

from common.bus.rabbitmq.link import LOST, closed, until_one_ends
from common.bus.rabbitmq.topology import DECLARE_SECONDS, Topology
from common.kernel.events import CloudEvent
from common.ports.bus import Broadcast

MOST_WAITING = 10_000
"""Messages for one that has stopped reading; then the oldest go."""
DECLARE_AGAIN_SECONDS = 0.5

log = structlog.get_logger("bus")


class Hearer:
    """One broadcast's consumer. `declared` is set while it hears."""

    def __init__(self, broadcast: Broadcast, topology: Topology) -> None:
        self.broadcast = broadcast
        self.trouble: Exception | None = None
        self.declared = asyncio.Event()
        self._topology = topology

    async def listen(self, connection: AbstractConnection) -> None:
        """Hear for ever on this connection."""
        while True:
            try:
                async with connection.channel(publisher_confirms=False) as channel:
                    await self._on(channel)
                self.trouble = ConnectionError("the broker ended the consumer")
            except LOST as error:
                self.trouble = error
            finally:
                self.declared.clear()
            log.warning("broadcast lost, hearing it anew", name=self.broadcast.name, reason=repr(self.trouble))
            await asyncio.sleep(DECLARE_AGAIN_SECONDS)

    async def _on(self, channel: AbstractChannel) -> None:
        name = f"{self.broadcast.service}.{self.broadcast.name}.{uuid.uuid4().hex}"
        queue = await self._topology.declare_broadcast(channel, name, self.broadcast.types, MOST_WAITING)
        underlying = await channel.get_underlay_channel()
        cancelled = asyncio.Event()
        underlying.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
        await underlying.basic_consume(queue.name, self._hear, no_ack=True, exclusive=True, timeout=DECLARE_SECONDS)
        self.trouble = None
        self.declared.set()
        self.broadcast.began()
        await until_one_ends(cancelled.wait(), closed(channel))

    async def _hear(self, message: DeliveredMessage) -> None:
        try:
            event = CloudEvent.model_validate_json(message.body)
        except ValidationError as error:
            log.warning("not an event", name=self.broadcast.name, error=repr(error))
            return
        self.broadcast.tell([event])
