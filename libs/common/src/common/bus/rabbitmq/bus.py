"""The bus port on RabbitMQ: one connection to publish, one to listen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from aio_pika.abc import AbstractConnection

from common.bus.rabbitmq.broadcasting import Hearer
from common.bus.rabbitmq.dead import DeadQueues
from common.bus.rabbitmq.depths import depths
from common.bus.rabbitmq.link import CLOSE_SECONDS, Link, end, until_one_ends
from common.bus.rabbitmq.listener import Listener
from common.bus.rabbitmq.publisher import Publisher
from common.bus.rabbitmq.topology import Topology, TopologyDiffers
from common.kernel.events import CloudEvent
from common.ports.bus import Broadcast, BusCapabilities, BusUnavailable, QueueDepth, Subscription
from common.ports.dead import DeadDeliveries

START_SECONDS = 15.0

log = structlog.get_logger("bus")


class RabbitBus:
    """Events by way of a broker at `url` (`amqp://user:password@host:port/vhost`), which knows us by `name`."""

    capabilities = BusCapabilities(durable=True, across_processes=True)

    def __init__(self, url: str, *, name: str = "modelyard", topology: Topology | None = None) -> None:
        self.dead: DeadDeliveries | None = DeadQueues(url)
        self._topology = topology or Topology()
        self._bound = asyncio.Event()
        self._connection: AbstractConnection | None = None
        self._listeners: list[Listener] = []
        self._hearers: list[Hearer] = []
        self._listening = Link(url, f"{name} listen", self._listen)
        self._publisher = Publisher(url, name, self._topology, self._bound)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, subscriptions: Sequence[Subscription], broadcasts: Sequence[Broadcast] = ()) -> None:
        """Declare the subscriptions and begin to deliver. Without a broker that happens once there is one.

        Raises TopologyDiffers where the broker has something else under our names.
        """
        self._listeners = [Listener(subscription, self._topology) for subscription in subscriptions]
        self._hearers = [Hearer(broadcast, self._topology) for broadcast in broadcasts]
        links = (self._listening, self._publisher.link)
        self._tasks = [asyncio.create_task(link.run(), name=f"bus {link.purpose}") for link in links]
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._listening.settled.wait()
                if self._listening.trouble is None:
                    await self._publisher.link.settled.wait()
        except TimeoutError:
            log.warning("the broker does not answer, events wait in the outbox")
        for link in links:
            if isinstance(link.trouble, TopologyDiffers):
                await self.close()
                raise link.trouble

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Return when the broker has each event on disk. Raises BusUnavailable, at once where there is no broker."""
        await self._publisher.publish(events)

    async def depths(self, service: str) -> Sequence[QueueDepth]:
        """What lies in this service's queues now. The broker is asked; a queue that is not there is left out."""
        queues = [one.subscription for one in self._listeners if one.subscription.service == service]
        if not queues:
            return ()
        if (connection := self._connection) is None:
            raise BusUnavailable("bus_unavailable", f"The broker is not available: {self._listening.trouble!r}")
        return await depths(connection, queues)

    def on_loss(self, service: str, tell_again: Callable[[], Awaitable[None]]) -> None:
        """`tell_again` is called with the next connection to a broker that does not know what `service` told."""
        self._publisher.losses[service] = tell_again

    async def ping(self) -> None:
        """Raise BusUnavailable, with the reason, unless both connections stand and every queue is listened to."""
        troubles = [link.trouble for link in (self._listening, self._publisher.link)]
        troubles += [ear.trouble for ear in self._ears]
        for trouble in troubles:
            if trouble is not None:
                raise BusUnavailable("bus_unavailable", f"The broker is not available: {trouble!r}")
        if not self._tasks or not self._bound.is_set() or not self._publisher.open:
            raise BusUnavailable("bus_unavailable", "The broker is not connected.")

    @property
    def unrouted(self) -> int:
        """How many published events nobody was subscribed to."""
        return self._publisher.unrouted

    async def close(self) -> None:
        """Stop delivering; what is unconfirmed comes again after the next start."""
        await end(self._tasks, again=CLOSE_SECONDS + 1.0)
        self._tasks.clear()

    @property
    def _ears(self) -> list[Listener | Hearer]:
        return [*self._listeners, *self._hearers]

    async def _listen(self, connection: AbstractConnection) -> None:
        self._connection = connection
        try:
            await until_one_ends(self._say_when_declared(), *(one.listen(connection) for one in self._ears))
        finally:
            self._connection = None
            self._bound.clear()

    async def _say_when_declared(self) -> None:
        """We may publish when our own queues are there, filled or not: we may be the ones who listen."""
        for one in self._listeners:
            await one.bound.wait()
        self._bound.set()
        for ear in self._ears:
            await ear.declared.wait()
        self._listening.up()
        await asyncio.Event().wait()
