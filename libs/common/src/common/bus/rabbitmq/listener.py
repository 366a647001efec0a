"""Listening to one queue: what is at hand is taken in one go, and acknowledged when it is durable in the inbox.

Nothing is acknowledged before, and nothing is thrown back in a loop: while the inbox can't be written the deliveries
wait here. What the inbox refuses again and again although it can be written becomes a dead letter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as UnderlyingChannel
from aiormq.abc import DeliveredMessage
from pydantic import ValidationError

from common.bus.rabbitmq.link import LOST, closed, until_one_ends
from common.bus.rabbitmq.log import fill
from common.bus.rabbitmq.notes import note_types, types_given
from common.bus.rabbitmq.topology import DECLARE_SECONDS, Topology
from common.kernel.errors import Unavailable
from common.kernel.events import CloudEvent
from common.ports.bus import Subscription

PREFETCH = 400
BATCH = 200
TRIES = 5
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
DECLARE_AGAIN_SECONDS = 0.5

Deliveries = asyncio.Queue[DeliveredMessage]

Heard = tuple[int, CloudEvent]
"""A delivery: its tag on the channel, and the event."""

log = structlog.get_logger("bus")


class Listener:
    """One subscription's consumer. `bound` is set while its queue is known to be there, `declared` while it is
    consumed, which begins when what was told before it was made is heard."""

    def __init__(self, subscription: Subscription, topology: Topology) -> None:
        self.subscription = subscription
        self.trouble: Exception | None = None
        self.bound = asyncio.Event()
        self.declared = asyncio.Event()
        self._topology = topology
        self._own_up: Callable[[], Awaitable[None]]
        self._owned_up = False

    async def listen(self, connection: AbstractConnection) -> None:
        """Listen for ever on this connection; a queue that is deleted meanwhile is declared again."""
        while True:
            try:
                async with connection.channel(publisher_confirms=False) as channel:
                    await self._on(connection, channel)
                self.trouble = ConnectionError("the broker ended the consumer")
            except LOST as error:
                self.trouble = error
            finally:
                self.bound.clear()
                self.declared.clear()
            log.warning("queue lost, declaring it again", queue=self.subscription.queue, reason=repr(self.trouble))
            await asyncio.sleep(DECLARE_AGAIN_SECONDS)

    async def _on(self, connection: AbstractConnection, channel: AbstractChannel) -> None:
        """Declare and consume, until the channel is closed or the broker cancels the consumer."""
        deliveries: Deliveries = asyncio.Queue()
        cancelled = asyncio.Event()
        await channel.set_qos(prefetch_count=PREFETCH, timeout=DECLARE_SECONDS)
        self._own_up = partial(note_types, connection, self.subscription.queue, self.subscription.types)
        self._owned_up = False
        given = await types_given(connection, self.subscription.queue)
        queue = await self._topology.declare_queue(channel, self.subscription)
        self.bound.set()
        if lacking := self.subscription.types - given:
            lacks = replace(self.subscription, types=lacking)
            await fill(connection, self._topology, lacks, self._refused)
        if given != self.subscription.types:
            await self._own_up()
        underlying = await channel.get_underlay_channel()
        underlying.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
        # straight from the protocol layer: aio-pika would make another task and a copy for every message
        await underlying.basic_consume(queue.name, deliveries.put, timeout=DECLARE_SECONDS)
        self.trouble = None
        self.declared.set()
        await until_one_ends(self._work(underlying, deliveries), cancelled.wait(), closed(channel))

    async def _work(self, channel: UnderlyingChannel, deliveries: Deliveries) -> None:
        while True:
            batch = [await deliveries.get()]
            while len(batch) < BATCH and not deliveries.empty():
                batch.append(deliveries.get_nowait())
            if readable := [heard for one in batch if (heard := await self._read(channel, one)) is not None]:
                await self._settle(channel, readable)

    async def _read(self, channel: UnderlyingChannel, message: DeliveredMessage) -> Heard | None:
        """What a delivery says; what can't be read becomes a dead letter at once."""
        assert message.delivery_tag is not None
        try:
            return message.delivery_tag, CloudEvent.model_validate_json(message.body)
        except ValidationError as error:
            message_id = message.header.properties.message_id
            log.warning("not an event", queue=self.subscription.queue, message_id=message_id, error=repr(error))
            await channel.basic_reject(message.delivery_tag, requeue=False)
            return None

    async def _settle(self, channel: UnderlyingChannel, heard: Sequence[Heard]) -> None:
        """Hand over and acknowledge; what a whole batch fails with is looked for one by one."""
        last, _ = heard[-1]
        alone = len(heard) == 1
        # of a type that an earlier version listened to, the binding may still be there
        wanted = [event for _, event in heard if event.type in self.subscription.types]
        if len(wanted) < len(heard) and not self._owned_up:
            # before it is gone: a newer version hears it, and reads from the log when it starts what the note lacks
            await self._own_up()
            self._owned_up = True
        if await self._taken(wanted, tries=TRIES if alone else 1):
            await channel.basic_ack(last, multiple=True, wait=False)
        elif alone:
            await channel.basic_reject(last, requeue=False)
        else:
            for one in heard:
                await self._settle(channel, [one])

    async def _refused(self, events: Sequence[CloudEvent]) -> Sequence[CloudEvent]:
        """Hand over what was in the log; gives what is refused for good."""
        alone = len(events) == 1
        if await self._taken(events, tries=TRIES if alone else 1):
            return ()
        return events if alone else [refused for one in events for refused in await self._refused([one])]

    async def _taken(self, events: Sequence[CloudEvent], *, tries: int) -> bool:
        """Whether the subscriber has taken them, for which an inbox that is away is waited for as long as it takes."""
        pause = FIRST_PAUSE_SECONDS
        while events:
            try:
                await self.subscription.receive(events)
            except Unavailable as problem:
                log.warning("the inbox waits", queue=self.subscription.queue, reason=problem.detail)
            except Exception as error:  # noqa: BLE001 - whatever it is: tried again, then a dead letter
                tries -= 1
                log.warning("the inbox refuses", queue=self.subscription.queue, error=repr(error), tries_left=tries)
                if not tries:
                    return False
            else:
                return True
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return True
