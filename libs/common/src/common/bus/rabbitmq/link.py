"""A connection that is made again whenever it is lost, for as long as it is wanted.

Each life begins from nothing: connect, declare, work. So there is one way to start and none to restore, and a broker
that lost a queue is found out like one that was never there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from pamqp.common import FieldTable
from yarl import URL

from common.bus.rabbitmq.topology import TopologyDiffers

CONNECT_SECONDS = 3.0
CLOSE_SECONDS = 5.0
CANCEL_AGAIN_SECONDS = 1.0

HEARTBEAT_SECONDS = 5
"""A peer that is silent for three of these and a bit is given up. `?heartbeat=` in the URL says otherwise."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

LOST = (*CONNECTION_EXCEPTIONS, TimeoutError)
"""What aio-pika raises where the broker is away, or goes away meanwhile."""

log = structlog.get_logger("bus")

Use = Callable[[AbstractConnection], Coroutine[Any, Any, None]]


class Link:
    """One connection for one purpose. `use` works on each new one, and ends when it is of no more use."""

    def __init__(self, url: str, purpose: str, use: Use) -> None:
        address = URL(url)
        self._url = str(address.update_query(heartbeat=address.query.get("heartbeat", HEARTBEAT_SECONDS)))
        self.purpose = purpose
        self._use = use
        self._renew = asyncio.Event()
        self.trouble: Exception | None = None
        self.settled = asyncio.Event()
        """Set by the first outcome, and by `up`."""

    def up(self) -> None:
        """Said by `use` when it has what it needs."""
        self.trouble = None
        self.settled.set()

    def down(self, error: Exception) -> None:
        """It does not work, because of this."""
        self.trouble = error
        self.settled.set()

    def renew(self) -> None:
        """Give the present connection up and make another."""
        self._renew.set()

    async def run(self) -> None:
        """Keep connected for ever."""
        pause = FIRST_PAUSE_SECONDS
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._one_life()
                self.down(ConnectionError("the connection was lost"))
            except (*LOST, TopologyDiffers) as error:
                self.down(error)
            log.warning("bus connection lost, making another", purpose=self.purpose, reason=repr(self.trouble))
            lived_long = asyncio.get_running_loop().time() - began > 2 * LONGEST_PAUSE_SECONDS
            pause = FIRST_PAUSE_SECONDS if lived_long else min(2 * pause, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(pause * random.uniform(0.7, 1.0))  # noqa: S311 - jitter

    async def _one_life(self) -> None:
        """Connect and use it until one of both ends. Raises what `use` raised."""
        properties: FieldTable = {"connection_name": self.purpose}
        connection = await aio_pika.connect(self._url, timeout=CONNECT_SECONDS, client_properties=properties)
        self._renew.clear()
        try:
            await until_one_ends(self._use(connection), self._renew.wait(), _lost(connection))
        finally:
            await _drop(connection)


async def until_one_ends(*works: Coroutine[Any, Any, object]) -> None:
    """Run these together until one ends, then end the others. Raises what that one raised.

    aio-pika cancels whoever waits for a broker that it gave up: here that is a ConnectionError, nobody's cancellation.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(tasks)
    for task in ended:
        if task.cancelled():
            raise ConnectionError("the broker does not answer")
        task.result()


async def end(tasks: Collection[asyncio.Task[Any]], again: float | None = None) -> None:
    """Cancel these until they have ended: a wait_for of Python 3.11, as aio-pika uses, can swallow a cancellation.

    `again` is how long each may take for its farewell before it is cancelled again, in seconds.
    """
    left, told = set(tasks), False
    while left:
        for task in left:
            task.cancel()
        try:
            _, left = await asyncio.wait(left, timeout=again or CANCEL_AGAIN_SECONDS)
        except asyncio.CancelledError:  # we are ending already; whoever cancels us learns it when we have
            told = True
    for task in tasks:
        if not task.cancelled():
            task.exception()
    if told:
        raise asyncio.CancelledError


async def closed(channel: AbstractChannel) -> None:
    """Return when the channel is closed, by whomever."""
    await channel.closed()


async def _lost(connection: AbstractConnection) -> None:
    """Return when the connection is closed, by whomever."""
    assert connection.transport is not None
    await asyncio.wait([connection.transport.connection.closing])


async def _drop(connection: AbstractConnection) -> None:
    """Close it politely where the broker answers, and soon where it does not."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()
    except LOST as error:
        log.info("bus connection closed", reason=repr(error))
