"""The bus: how events reach other services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from common.kernel.errors import Unavailable
from common.kernel.events import CloudEvent
from common.ports.dead import DeadDeliveries

Receive = Callable[[Sequence[CloudEvent]], Awaitable[None]]


class BusUnavailable(Unavailable):
    """The event could not be confirmed; it stays in the outbox and is sent again."""


@dataclass(frozen=True)
class Subscription:
    """One (service, handler) and the event types it hears.

    `receive` returns once the events are durable in the subscriber's inbox; the same event may come twice.
    """

    service: str
    handler: str
    types: frozenset[str]
    receive: Receive

    @property
    def queue(self) -> str:
        """The queue's name, one for each (service, handler)."""
        return f"{self.service}.{self.handler}"


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Broadcast:
    """What every instance of a service hears for itself, while it listens: for screens, and for what it keeps in mind.

    `tell` gets each event as it comes, perhaps twice, and nothing of what came while the broker was away: `began` is
    called whenever hearing begins, also anew, to look at what may have been missed. Neither may raise or wait.
    """

    service: str
    name: str
    types: frozenset[str]
    tell: Callable[[Sequence[CloudEvent]], None]
    began: Callable[[], None] = _nothing


@dataclass(frozen=True)
class QueueDepth:
    """What lies in the bus for a handler: messages that nobody has in hand yet, and dead letters."""

    handler: str
    waiting: int
    dead: int


@dataclass(frozen=True)
class BusCapabilities:
    """What an adapter keeps by itself. `durable`: events survive in the bus; else the outbox is the queue."""

    durable: bool
    across_processes: bool


class Bus(Protocol):
    """A topic exchange with one queue for each subscription. At least once; confirms mean durable."""

    capabilities: BusCapabilities
    dead: DeadDeliveries | None
    """The dead letters that it keeps by itself; None where it has no queues of its own."""

    async def start(self, subscriptions: Sequence[Subscription], broadcasts: Sequence[Broadcast] = ()) -> None:
        """Declare the subscriptions and begin to deliver, what was told before a queue was made included.

        Broadcasts go to every instance that has them.
        """
        ...

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Return when every event is durable at every subscriber or in the bus.

        Raises BusUnavailable where that can't be confirmed; some of the events may have arrived all the same.
        """
        ...

    async def depths(self, service: str) -> Sequence[QueueDepth]:
        """How much lies there now for a service's subscriptions; nothing where the bus keeps nothing.

        Raises BusUnavailable.
        """
        ...

    def on_loss(self, service: str, tell_again: Callable[[], Awaitable[None]]) -> None:
        """`tell_again` is called where the bus has lost what it had confirmed to `service`: all of it that may be
        missing is then to be published once more. Before `start`; a bus that keeps nothing never calls it."""
        ...

    async def ping(self) -> None:
        """Raise BusUnavailable, with the reason, unless events can be published now and everything is listened to."""
        ...

    async def close(self) -> None:
        """Stop delivering; what is unconfirmed comes again after the next start."""
        ...
