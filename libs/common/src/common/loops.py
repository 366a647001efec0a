"""Work that is done again and again by one instance of a service: its lease, its pauses, and what it does when both go
wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy.exc import DBAPIError

from common.db.leases import Lease, LeaseLost, Leases
from common.kernel.clock import Clock
from common.kernel.errors import Unavailable

log = structlog.get_logger("service")

LEASE_SECONDS = 15.0
PAUSE_AFTER_FAILURE_SECONDS = 1.0
RELEASE_SECONDS = 2.0


def _nothing() -> None:
    return None


@dataclass
class Loop:
    """Work that is done again and again by whoever holds its lease.

    `body(lease)` does one round and returns; it is called every `every` seconds, and soon after `wake()`. It may be
    killed at any line: the next round continues. It may take as long as it needs: the lease is renewed meanwhile. With
    `leased` False every instance runs it.
    """

    name: str
    body: Callable[[Lease | None], Awaitable[None]]
    every: float = 1.0
    leased: bool = True
    lost: Callable[[], None] = _nothing
    """Called where another instance holds the lease, or may by now, at every turn and in the midst of a long round:
    what was begun under it ends."""
    lease: Lease | None = None
    """What it holds at present."""
    held_until: float = 0.0
    """Until then, by this process's monotonic clock, nobody else can have it: the database gave it for longer."""
    _renewed: float = 0.0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Don't wait for the timer."""
        self._wake.set()

    async def run(self, leases: Leases, clock: Clock) -> None:
        """Run for ever, while the lease is held."""
        while True:
            self._wake.clear()
            try:
                if self.leased:
                    await self._hold(leases, clock)
                if not self.leased:
                    await self.body(None)
                elif self.lease is not None:
                    async with self._kept(leases, clock):
                        await self.body(self.lease)
            except LeaseLost as lost:
                log.warning("lease lost", loop=self.name, reason=str(lost))
                self.lease = None
            except Unavailable as problem:
                log.warning("loop waits", loop=self.name, reason=problem.detail)
                await clock.sleep(PAUSE_AFTER_FAILURE_SECONDS)
            except Exception:
                log.exception("loop failed, goes on", loop=self.name)
                await clock.sleep(PAUSE_AFTER_FAILURE_SECONDS)
            self._let_go_of_the_lost(clock)
            await self._pause(self._wake, self.every)

    async def _hold(self, leases: Leases, clock: Clock) -> None:
        """Take the lease, or renew it in time. Raises Unavailable."""
        if self.lease is not None and clock.monotonic() - self._renewed > LEASE_SECONDS / 3:
            await self._renew(leases, clock)
        if self.lease is None:
            asked = clock.monotonic()
            self._note(await leases.acquire(self.name, LEASE_SECONDS), asked)

    async def _renew(self, leases: Leases, clock: Clock) -> None:
        asked = clock.monotonic()
        self._note(self.lease if self.lease and await leases.renew(self.lease, LEASE_SECONDS) else None, asked)

    def _note(self, lease: Lease | None, asked: float) -> None:
        """What the database gave; how long it lasts counts from before it was asked."""
        self.lease, self._renewed = lease, asked
        self.held_until = asked + LEASE_SECONDS if lease is not None else 0.0

    @asynccontextmanager
    async def _kept(self, leases: Leases, clock: Clock) -> AsyncIterator[None]:
        """While a round goes on, which may take longer than a lease lasts, the lease is renewed beside it."""
        over = asyncio.Event()
        keeping = asyncio.create_task(self._keep(over, leases, clock))
        try:
            yield
            over.set()  # a renewal that is under way comes to its end
            await keeping
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    async def _keep(self, over: asyncio.Event, leases: Leases, clock: Clock) -> None:
        """Renew it until the round is over. That it is lost is told when it is seen, not when the round ends."""
        await self._pause(over, LEASE_SECONDS / 3)
        while not over.is_set() and self.lease is not None:
            try:
                async with asyncio.timeout(LEASE_SECONDS / 3):  # who is told late that it is lost has it beside another
                    await self._renew(leases, clock)
            except Exception as error:  # noqa: BLE001 - whatever it is: asked again, until the lease has run out
                log.warning("lease not renewed", loop=self.name, reason=repr(error))
            self._let_go_of_the_lost(clock)
            await self._pause(over, LEASE_SECONDS / 3)

    def _let_go_of_the_lost(self, clock: Clock) -> None:
        if clock.monotonic() - self._renewed > LEASE_SECONDS:  # the database could not be asked: another may have it
            self.lease = None
        if self.leased and self.lease is None:
            self.lost()

    async def give_up(self, leases: Leases) -> None:
        """Let another instance have its turn at once; where the database is away, it waits until the lease runs out."""
        held, self.lease, self.held_until = self.lease, None, 0.0
        if held is None:
            return
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await leases.release(held)
        except (Unavailable, DBAPIError, OSError) as error:  # a time-out is an OSError
            log.warning("lease not released", loop=self.name, reason=repr(error))

    @staticmethod
    async def _pause(until: asyncio.Event, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):  # wait_for of Python 3.11 can swallow a cancellation
                await until.wait()
        except TimeoutError:
            return
