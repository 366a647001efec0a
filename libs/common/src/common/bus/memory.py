"""The `memory:` bus: within one process, with the outbox as the durable queue.

A publish is confirmed only when every subscriber's inbox row is committed, so a kill loses nothing: what was not
confirmed is still in the outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from common.kernel.events import CloudEvent
from common.ports.bus import Broadcast, BusCapabilities, BusUnavailable, QueueDepth, Subscription
from common.ports.dead import DeadDeliveries


class MemoryBus:
    """Hands events to the subscribers of this process."""

    capabilities = BusCapabilities(durable=False, across_processes=False)
    dead: DeadDeliveries | None = None

    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription, ...] = ()
        self._broadcasts: tuple[Broadcast, ...] = ()
        self._open = False

    async def start(self, subscriptions: Sequence[Subscription], broadcasts: Sequence[Broadcast] = ()) -> None:
        """Begin to deliver to these."""
        self._subscriptions, self._broadcasts = tuple(subscriptions), tuple(broadcasts)
        self._open = True
        for broadcast in self._broadcasts:
            broadcast.began()

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        """Deliver to every subscriber, in order; raises BusUnavailable where one could not take them."""
        await self.ping()
        wanted = [(s, [e for e in events if e.type in s.types]) for s in self._subscriptions]
        taken = await asyncio.gather(*(s.receive(mine) for s, mine in wanted if mine), return_exceptions=True)
        for outcome in taken:
            if isinstance(outcome, Exception):
                raise BusUnavailable("bus_unavailable", f"A subscriber could not take an event: {outcome!r}")
            if isinstance(outcome, BaseException):
                raise outcome
        for broadcast in self._broadcasts:
            if mine := [event for event in events if event.type in broadcast.types]:
                broadcast.tell(mine)

    async def depths(self, service: str) -> Sequence[QueueDepth]:
        """Nothing: what waits, waits in the outbox."""
        return ()

    def on_loss(self, service: str, tell_again: Callable[[], Awaitable[None]]) -> None:
        """It keeps nothing that could be lost."""

    async def ping(self) -> None:
        """Raise BusUnavailable before start and after close."""
        if not self._open:
            raise BusUnavailable("bus_unavailable", "The bus is not running.")

    async def close(self) -> None:
        """Deliver no more."""
        self._open = False
