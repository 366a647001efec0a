"""Publishing with confirms. What is not confirmed in time is not known to have arrived, and is said so."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence, Set
from contextlib import asynccontextmanager
from typing import cast

import structlog
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractConnection
from aiormq import Channel
from pamqp.commands import Basic

from common.bus.rabbitmq.link import LOST, Link
from common.bus.rabbitmq.notes import TellAgain, tell_again_where_lost
from common.bus.rabbitmq.sending import Outgoing, Together, send
from common.bus.rabbitmq.topology import BATCH_TYPE, EXCHANGE, LOG, Topology
from common.kernel.events import CloudEvent
from common.ports.bus import BusUnavailable

CONFIRM_SECONDS = 10.0
PORTION = 100
"""So many are sent together, and are one message in the log."""

PORTIONS = 2
"""So many portions are in flight at once: while the broker writes one down, the next is on its way."""

log = structlog.get_logger("bus")


class Publisher:
    """One channel with confirms on a connection of its own. It opens once `ready` is set: the own queues are there."""

    def __init__(self, url: str, name: str, topology: Topology, ready: asyncio.Event) -> None:
        self.link = Link(url, f"{name} publish", self._use)
        self._topology = topology
        self._ready = ready
        self._channel: Channel | None = None
        self._in_flight: dict[str, asyncio.Event] = {}
        self.losses: dict[str, TellAgain] = {}
        """Service → what it does where the broker has lost what was confirmed."""
        self.unrouted = 0
        """How many events nobody was subscribed to."""

    async def _use(self, connection: AbstractConnection) -> None:
        await self._ready.wait()
        channel = await connection.channel(on_return_raises=True)
        try:
            await self._topology.declare_exchange(channel)
            await self._topology.declare_log(channel)
            for service, tell_again in self.losses.items():
                await tell_again_where_lost(connection, service, tell_again)
            self._channel = cast(Channel, await channel.get_underlay_channel())
            self.link.up()
            await channel.closed()
        finally:
            self._channel = None

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Return when each is confirmed. Raises BusUnavailable at once where there is no broker, else in time."""
        free = asyncio.Semaphore(PORTIONS)
        portions = _portions(list({event.id: event for event in events}.values()))
        sending = (self._in_turn(free, some) for some in portions)
        for outcome in await asyncio.gather(*sending, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _in_turn(self, free: asyncio.Semaphore, events: Sequence[CloudEvent]) -> None:
        async with free, self._apart({event.id for event in events}):
            bodies = [event.model_dump_json(exclude_none=True).encode() for event in events]
            # first into the log: what a queue that is being made does not get is there already
            messages = [_kept(bodies), *map(_told, events, bodies)]
            together = await self._confirmed(messages)
            if messages[0] in together.returned:
                self._give_up(together.channel)  # the log is gone, it is made again with the next connection
                raise BusUnavailable(
                    "bus_unavailable", f"The stream {LOG} is not there: nothing takes what is sent to it"
                )
            self.unrouted += len(together.returned)  # nobody listens, which is no failure
            if together.refused:
                keys = ", ".join(sorted({message.key for message in together.refused}))
                raise BusUnavailable("bus_full", f"A queue has no room for {keys}")

    @property
    def open(self) -> bool:
        """Whether there is a channel to publish on."""
        return self._channel is not None

    @asynccontextmanager
    async def _apart(self, ids: Set[str]) -> AsyncIterator[None]:
        """No id is in flight twice: the library would take one's confirm for the other's."""
        while (meeting := next((self._in_flight[one] for one in ids if one in self._in_flight), None)) is not None:
            await meeting.wait()
        over = asyncio.Event()
        self._in_flight.update(dict.fromkeys(ids, over))
        try:
            yield
        finally:
            for one in ids:
                del self._in_flight[one]
            over.set()

    async def _confirmed(self, messages: Sequence[Outgoing]) -> Together:
        """What became of them. Raises BusUnavailable where they are not known to have arrived."""
        if (channel := self._channel) is None:
            why = repr(self.link.trouble) if self.link.trouble else "the connection is being made anew"
            raise BusUnavailable("bus_unavailable", f"The broker is not connected: {why}")
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                together = await send(channel, messages)
                await together.answers()
        except (*LOST, asyncio.CancelledError) as error:
            self._give_up(channel)  # confirms may still come; the same id must not meet them on the same channel
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            told = f"{len(messages) - 1} events were not confirmed: {error!r}"
            raise BusUnavailable("bus_unavailable", told) from error
        return together

    def _give_up(self, channel: Channel) -> None:
        """Publish no more on this channel: the next connection brings another, unless it has done so already."""
        if self._channel is channel:
            self._channel = None
            self.link.renew()


def _portions(events: list[CloudEvent]) -> Iterator[list[CloudEvent]]:
    for start in range(0, len(events), PORTION):
        yield events[start : start + PORTION]


def _told(event: CloudEvent, body: bytes) -> Outgoing:
    """An event in structured mode: all of it is in the body (CloudEvents AMQP binding 1.0.2 §3.2)."""
    kind = "application/cloudevents+json"
    properties = Basic.Properties(content_type=kind, delivery_mode=DeliveryMode.PERSISTENT, message_id=event.id)
    return Outgoing(EXCHANGE, event.type, body, properties)


def _kept(bodies: list[bytes]) -> Outgoing:
    """All of them as one message to the log."""
    properties = Basic.Properties(
        content_type=BATCH_TYPE, delivery_mode=DeliveryMode.PERSISTENT, message_id=uuid.uuid4().hex
    )
    return Outgoing("", LOG, b"[" + b",".join(bodies) + b"]", properties)
