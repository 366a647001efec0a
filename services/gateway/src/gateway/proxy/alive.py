"""Whether a service behind the gateway answers at all, asked only while requests wait for it.

A request may take its time: an upload, a large export. A service that is wedged takes for ever. Who is slow answers
`/healthz` all the same; who does not is wedged, and those who wait for it are told so instead of hanging.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import structlog

from gateway.proxy.guard import Guard

PATIENCE_SECONDS = 1.0
"""A request that waits longer is a reason to ask."""

ANSWER_SECONDS = 2.0
SILENT_LOOKS = 2
"""So many looks without an answer are no accident."""

log = structlog.get_logger("upstream")


class Alive:
    """One service, asked at `address`. `silent`: it is known not to answer, and is asked until it does."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None
        self._waiting: dict[Guard, float] = {}
        self._silent_looks = 0
        self._watching: asyncio.Task[None] | None = None

    def by(self, session: aiohttp.ClientSession) -> None:
        """Ask over these connections."""
        self._session = session

    @property
    def silent(self) -> bool:
        """Whether it is known not to answer."""
        return self._silent_looks >= SILENT_LOOKS

    @contextmanager
    def waits(self, guard: Guard) -> Iterator[None]:
        """A request waits for the service: it is given up where the service falls silent before it answers."""
        self._waiting[guard] = asyncio.get_running_loop().time()
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name=f"watch {self._address}")
        try:
            yield
        finally:
            del self._waiting[guard]

    async def _watch(self) -> None:
        """Look, as long as anybody waits or it is known to be silent."""
        while self._waiting or self._silent_looks:
            await asyncio.sleep(PATIENCE_SECONDS)
            if not self._silent_looks and not self._long_waiting():
                continue
            self._silent_looks = 0 if await self._answers() else self._silent_looks + 1
            if self.silent:
                log.warning("a service is silent", address=self._address, waiting=len(self._waiting))
                for guard in self._long_waiting():
                    guard.give_up()

    def _long_waiting(self) -> list[Guard]:
        since = asyncio.get_running_loop().time() - PATIENCE_SECONDS
        return [guard for guard, began in self._waiting.items() if not guard.answered and began <= since]

    async def _answers(self) -> bool:
        assert self._session is not None
        limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with self._session.get(self._address, timeout=limit) as answer:
                return answer.status < 500
        except (aiohttp.ClientError, OSError):
            return False

    async def close(self) -> None:
        """Look no more."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
