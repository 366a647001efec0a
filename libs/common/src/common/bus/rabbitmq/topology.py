"""What is declared in the broker, in one place: exchanges, queues, bindings and their arguments.

At-least-once dead-lettering needs quorum queues that refuse what they have no room for (RabbitMQ manual, `Quorum
queues`); without it a broker that dies while it moves a dead letter loses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractQueue
from aio_pika.exceptions import ChannelPreconditionFailed
from pamqp.common import FieldTable

from common.kernel.errors import Problem
from common.ports.bus import Subscription

EXCHANGE = "modelyard.events"
DEAD_EXCHANGE = "modelyard.dead"
LOG = "modelyard.log"
"""The stream of all events, for whoever comes later (decision 0006). What is published together is one message."""

BATCH_TYPE = "application/cloudevents-batch+json"
"""Events as a JSON array (CloudEvents JSON format 1.0.2 §4)."""

LOG_AGE = "7D"
"""Half as long as inboxes know what they have heard (`common.db.janitor`): what is read again has no second effect."""

LOG_SEGMENT_BYTES = 50_000_000
"""The log forgets in pieces of this size."""

DELIVERY_LIMIT = 4
"""Deliveries after the first. Only what kills its consumer again and again gets so far."""

LOOKS_AT_DEAD_LETTERS = 1_000_000_000
"""Each look at a dead letter is a delivery, and RabbitMQ 4 drops what was delivered 20 times unless told otherwise."""

DECLARE_SECONDS = 10.0


class TopologyDiffers(Problem):
    """The broker has something of this name with other properties, made by another version or by hand."""

    title = "The broker is set up differently"


@dataclass(frozen=True)
class Topology:
    """How queues are made. `max_length` (messages) is where a queue begins to refuse, and events wait in the outbox;
    `log_bytes` is how much the log keeps at most."""

    max_length: int = 1_000_000
    log_bytes: int = 5_000_000_000

    async def declare_exchange(self, channel: AbstractChannel) -> AbstractExchange:
        """The exchange that every event goes to. Raises TopologyDiffers."""
        try:
            return await channel.declare_exchange(EXCHANGE, ExchangeType.TOPIC, durable=True, timeout=DECLARE_SECONDS)
        except ChannelPreconditionFailed as error:
            raise _differs(f"The exchange {EXCHANGE}", error) from error

    async def declare_log(self, channel: AbstractChannel) -> None:
        """The stream that keeps every event for `LOG_AGE`. Raises TopologyDiffers."""
        arguments: FieldTable = {
            "x-queue-type": "stream",
            "x-max-age": LOG_AGE,
            "x-max-length-bytes": self.log_bytes,
            "x-stream-max-segment-size-bytes": LOG_SEGMENT_BYTES,
        }
        try:
            await channel.declare_queue(LOG, durable=True, arguments=arguments, timeout=DECLARE_SECONDS)
        except ChannelPreconditionFailed as error:
            raise _differs(f"The stream {LOG}", error) from error

    async def declare_broadcast(
        self, channel: AbstractChannel, name: str, types: frozenset[str], most: int
    ) -> AbstractQueue:
        """A queue of one connection's own; at `most` messages the oldest go. Raises TopologyDiffers."""
        events = await self.declare_exchange(channel)
        queue = await channel.declare_queue(
            name,
            durable=False,
            exclusive=True,
            auto_delete=True,
            arguments={"x-max-length": most},
            timeout=DECLARE_SECONDS,
        )
        for event_type in sorted(types):
            await queue.bind(events, event_type, timeout=DECLARE_SECONDS)
        return queue

    async def declare_queue(self, channel: AbstractChannel, subscription: Subscription) -> AbstractQueue:
        """A subscription's queue with its bindings, and where its dead letters go. Raises TopologyDiffers."""
        try:
            return await self._declare_queue(channel, subscription.queue, sorted(subscription.types))
        except ChannelPreconditionFailed as error:
            raise _differs(f"The queue {subscription.queue}", error) from error

    async def _declare_queue(self, channel: AbstractChannel, name: str, types: Sequence[str]) -> AbstractQueue:
        events = await self.declare_exchange(channel)
        dead = await channel.declare_exchange(DEAD_EXCHANGE, ExchangeType.DIRECT, durable=True, timeout=DECLARE_SECONDS)
        kept: FieldTable = {"x-queue-type": "quorum", "x-delivery-limit": LOOKS_AT_DEAD_LETTERS}
        letters = await channel.declare_queue(dead_queue(name), durable=True, arguments=kept, timeout=DECLARE_SECONDS)
        await letters.bind(dead, name, timeout=DECLARE_SECONDS)
        queue = await channel.declare_queue(
            name, durable=True, arguments=self._arguments(name), timeout=DECLARE_SECONDS
        )
        for event_type in types:
            await queue.bind(events, event_type, timeout=DECLARE_SECONDS)
        return queue

    def _arguments(self, name: str) -> FieldTable:
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-max-length": self.max_length,
            "x-overflow": "reject-publish",
            "x-dead-letter-exchange": DEAD_EXCHANGE,
            "x-dead-letter-routing-key": name,
            "x-dead-letter-strategy": "at-least-once",
        }


def dead_queue(queue: str) -> str:
    """Where the dead letters of a queue lie."""
    return f"{queue}.dead"


def _differs(what: str, error: Exception) -> TopologyDiffers:
    said = f"{what} exists with other properties: {error}. Empty and delete it in the broker; it is declared again."
    return TopologyDiffers("topology_differs", said)
