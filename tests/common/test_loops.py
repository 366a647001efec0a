"""A loop keeps its lease for as long as a round takes, and says at once when it has lost it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from common import loops
from common.db.leases import Lease
from common.kernel.clock import ManualClock
from common.kernel.errors import Unavailable
from common.loops import Loop


class Leases:
    """Gives a lease, and renews it as it is told: each answer once, then no more until `answers` are added."""

    def __init__(self, *answers: bool | Exception) -> None:
        self.answers = list(answers)
        self.taken = 0
        self.used_up = asyncio.Event()

    async def acquire(self, name: str, _seconds: float) -> Lease:
        self.taken += 1
        return Lease(name, "one", self.taken)

    async def renew(self, _lease: Lease, _seconds: float) -> bool:
        if not self.answers:
            self.used_up.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def running(
    leases: Any, body: Callable[[Lease | None], Awaitable[None]], clock: ManualClock | None = None, **fields: Any
) -> AsyncIterator[Loop]:
    """The loop, by a clock that stands still."""
    loop = Loop("work", body, **fields)
    task = asyncio.create_task(loop.run(leases, clock or ManualClock()))
    try:
        async with asyncio.timeout(60):
            yield loop
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "LEASE_SECONDS", 0.03)


async def test_a_round_that_takes_longer_than_a_lease_keeps_it() -> None:
    """Also where the database can't be asked for a moment, or fails otherwise."""
    troubles = Unavailable("database_unavailable", "not now"), OSError("a socket broke")
    leases, lost = Leases(True, *troubles, True), asyncio.Event()

    async def for_ever(_lease: Lease | None) -> None:
        await asyncio.Event().wait()

    async with running(leases, for_ever, lost=lost.set) as loop:
        await leases.used_up.wait()
        assert (leases.taken, loop.lease, lost.is_set()) == (1, Lease("work", "one", 1), False)


async def test_a_lease_that_ran_out_while_the_database_was_silent_is_lost_in_the_midst_of_a_round() -> None:
    leases, lost = Leases(), asyncio.Event()

    async def until_lost(_lease: Lease | None) -> None:
        await leases.used_up.wait()  # from here on it answers nobody
        clock.advance(3600)
        await lost.wait()
        seen.append(loop.lease)

    seen: list[Lease | None] = []
    clock = ManualClock()
    async with running(leases, until_lost, clock, lost=lost.set) as loop:
        while not seen:
            await asyncio.sleep(0.001)
    assert seen == [None]


async def test_a_lease_that_is_lost_in_the_midst_of_a_round_is_told_at_once() -> None:
    leases, lost = Leases(True, False), asyncio.Event()
    seen: list[Lease | None] = []

    async def until_lost(lease: Lease | None) -> None:
        seen.append(lease)
        await lost.wait()

    async with running(leases, until_lost, lost=lost.set, every=0.0) as loop:
        while len(seen) < 2:
            await asyncio.sleep(0.001)
        assert [lease.epoch for lease in seen[:2] if lease] == [1, 2], "the next round is under a lease of its own"
        assert loop.held_until > 0
