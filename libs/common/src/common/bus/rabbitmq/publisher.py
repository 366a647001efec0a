"""Publishing with confirms. What is not confirmed in time is not known to have arrived, and is said so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractConnection, AbstractExchange
from aio_pika.exceptions import DeliveryError, PublishError

from common.bus.rabbitmq.link import LOST, Link
from common.bus.rabbitmq.topology import Topology
from common.kernel.events import CloudEvent
from common.ports.bus import BusUnavailable

CONFIRM_SECONDS = 10.0
IN_FLIGHT = 200

log = structlog.get_logger("bus")


class Publisher:
    """One channel with confirms on a connection of its own. It opens once `ready` is set: the own queues are there."""

    def __init__(self, url: str, name: str, topology: Topology, ready: asyncio.Event) -> None:
        self.link = Link(url, f"{name} publish", self._use)
        self._topology = topology
        self._ready = ready
        self._exchange: AbstractExchange | None = None
        self._in_flight: dict[str, asyncio.Event] = {}
        self.unrouted = 0
        """How many events nobody was subscribed to."""

    async def _use(self, connection: AbstractConnection) -> None:
        await self._ready.wait()
        channel = await connection.channel(on_return_raises=True)
        try:
            self._exchange = await self._topology.declare_exchange(channel)
            self.link.up()
            await channel.closed()
        finally:
            self._exchange = None

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Return when each is confirmed. Raises BusUnavailable at once where there is no broker, else in time."""
        for some in _portions(list({event.id: event for event in events}.values())):
            outcomes = await asyncio.gather(*(self._one(event) for event in some), return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _one(self, event: CloudEvent) -> None:
        """Publish one. Its id is never in flight twice: the library would take one's confirm for the other's."""
        while (other := self._in_flight.get(event.id)) is not None:
            await other.wait()
        done = self._in_flight[event.id] = asyncio.Event()
        try:
            await self._confirmed(event)
        finally:
            del self._in_flight[event.id]
            done.set()

    async def _confirmed(self, event: CloudEvent) -> None:
        if (exchange := self._exchange) is None:
            raise BusUnavailable("bus_unavailable", f"The broker is not connected: {self.link.trouble!r}")
        try:
            await exchange.publish(_message(event), event.type, mandatory=True, timeout=CONFIRM_SECONDS)
        except PublishError:
            self.unrouted += 1  # nobody listens, which is no failure
        except DeliveryError as error:
            raise BusUnavailable("bus_full", f"A queue has no room for {event.type}: {error!r}") from error
        except (*LOST, asyncio.CancelledError) as error:
            self.link.renew()  # its confirm may still come; the same id must not meet it on the same channel
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise BusUnavailable("bus_unavailable", f"{event.type} was not confirmed: {error!r}") from error


def _portions(events: list[CloudEvent]) -> Iterator[list[CloudEvent]]:
    for start in range(0, len(events), IN_FLIGHT):
        yield events[start : start + IN_FLIGHT]


def _message(event: CloudEvent) -> Message:
    """An event in structured mode (CloudEvents AMQP binding 1.0.2 §3.2)."""
    return Message(
        event.model_dump_json(exclude_none=True).encode(),
        content_type="application/cloudevents+json",
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=event.id,
        timestamp=event.time,
        type=event.type,
        app_id=event.source,
    )
