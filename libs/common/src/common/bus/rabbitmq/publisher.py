"""Publishing with confirms. What is not confirmed in time is not known to have arrived, and is said so."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from typing import cast

import structlog
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq import Channel
from pamqp.commands import Basic

from common.bus.rabbitmq.link import LOST, Link
from common.bus.rabbitmq.topology import BATCH_TYPE, EXCHANGE, LOG, Topology
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
        self._channel: Channel | None = None
        self._in_flight: set[str] = set()
        self._waiting: dict[str, asyncio.Event] = {}
        self.unrouted = 0
        """How many events nobody was subscribed to."""

    async def _use(self, connection: AbstractConnection) -> None:
        await self._ready.wait()
        channel = await connection.channel(on_return_raises=True)
        try:
            await self._topology.declare_exchange(channel)
            await self._topology.declare_log(channel)
            self._channel = cast(Channel, await channel.get_underlay_channel())
            self.link.up()
            await channel.closed()
        finally:
            self._channel = None

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Return when each is confirmed. Raises BusUnavailable at once where there is no broker, else in time."""
        for some in _portions(list({event.id: event for event in events}.values())):
            bodies = [event.model_dump_json(exclude_none=True).encode() for event in some]
            # first into the log: what a queue that is being made does not get is there already
            sending = (self._keep(bodies), *(self._one(event, body) for event, body in zip(some, bodies, strict=True)))
            outcomes = await asyncio.gather(*sending, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _keep(self, bodies: list[bytes]) -> None:
        """Put them into the log, all as one message."""
        properties = Basic.Properties(
            content_type=BATCH_TYPE, delivery_mode=DeliveryMode.PERSISTENT, message_id=uuid.uuid4().hex
        )
        try:
            await self._confirmed(b"[" + b",".join(bodies) + b"]", "", LOG, properties)
        except PublishError as error:
            self.link.renew()  # the log is gone, it is made again with the next connection
            raise BusUnavailable("bus_unavailable", f"The stream {LOG} is not there: {error!r}") from error

    async def _one(self, event: CloudEvent, body: bytes) -> None:
        """Publish one. Its id is never in flight twice: the library would take one's confirm for the other's."""
        while event.id in self._in_flight:
            free = self._waiting.setdefault(event.id, asyncio.Event())
            await free.wait()
        self._in_flight.add(event.id)
        try:
            await self._confirmed(body, EXCHANGE, event.type, _properties(event))
        except PublishError:
            self.unrouted += 1  # nobody listens, which is no failure
        finally:
            self._in_flight.remove(event.id)
            if (waiting := self._waiting.pop(event.id, None)) is not None:
                waiting.set()

    async def _confirmed(self, body: bytes, exchange: str, key: str, properties: Basic.Properties) -> None:
        """Raises PublishError where it is bound to nothing, BusUnavailable where it is not known to have arrived."""
        if (channel := self._channel) is None:
            raise BusUnavailable("bus_unavailable", f"The broker is not connected: {self.link.trouble!r}")
        try:
            # straight to the protocol layer, which need not wait for the socket to be written: the confirm says more
            await channel.basic_publish(
                body,
                exchange=exchange,
                routing_key=key,
                properties=properties,
                mandatory=True,
                timeout=CONFIRM_SECONDS,
                wait=False,
            )
        except PublishError:
            raise
        except DeliveryError as error:
            raise BusUnavailable("bus_full", f"A queue has no room for {key}: {error!r}") from error
        except (*LOST, asyncio.CancelledError) as error:
            self.link.renew()  # its confirm may still come; the same id must not meet it on the same channel
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise BusUnavailable("bus_unavailable", f"{key} was not confirmed: {error!r}") from error


def _portions(events: list[CloudEvent]) -> Iterator[list[CloudEvent]]:
    for start in range(0, len(events), IN_FLIGHT):
        yield events[start : start + IN_FLIGHT]


def _properties(event: CloudEvent) -> Basic.Properties:
    """An event in structured mode: all of it is in the body (CloudEvents AMQP binding 1.0.2 §3.2)."""
    return Basic.Properties(
        content_type="application/cloudevents+json", delivery_mode=DeliveryMode.PERSISTENT, message_id=event.id
    )
