"""Writes down how workloads went on.

A SQLite file has one writer at a time. Were each turn of each workload a transaction of its own, one that gives its
devices back would wait behind all that only says how another ended; so what gives something back goes first, and
every transaction takes along what waits beside it. PostgreSQL has many writers: there each turn is written by itself,
with rows locked in one order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import pairwise

from common.db.uow import Store, UnitOfWork
from common.workloads.workload import Phase, Workload, gives_back

LATEST_SECONDS = 0.5
"""How long others may go before at most."""
AT_ONCE = 8
"""Of those that give back; each plans, and a transaction that lasts makes others wait."""
LATER_AT_ONCE = 4

_CAN_WAIT = (Phase.RUNNING, Phase.RELEASING, Phase.ENDED)

Way = Sequence[Workload]
"""A workload as it is stored, and what became of it since, turn by turn."""
Guarded = Callable[[], AbstractAsyncContextManager[UnitOfWork]]
Write = Callable[[UnitOfWork, Way], Awaitable[Workload]]


@dataclass(eq=False)
class _Entry:
    """A way that waits to be written; `written` is the workload as it is stored then."""

    way: Way
    since: float
    written: asyncio.Future[Workload] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writing:
    """The ways of one service's workloads, on their way into its database."""

    def __init__(self, store: Store, guarded: Guarded, write: Write) -> None:
        self._store, self._guarded, self._write = store, guarded, write
        self._first: list[_Entry] = []
        self._later: list[_Entry] = []
        self._task: asyncio.Task[None] | None = None

    async def write(self, way: Way) -> Workload:
        """Write it down; gives the workload as it is stored. Raises Conflict (`stale`), LeaseLost."""
        if not self._store.database.is_sqlite:
            return await self._alone(way)
        entry = self._enter(way)
        try:
            return await entry.written
        finally:
            self._withdraw(entry)

    async def write_unless(self, heard: asyncio.Event, way: Way) -> Workload | None:
        """The same, unless something is heard before its turn comes: then None, and nothing is written."""
        if not self._store.database.is_sqlite:
            return await self._alone(way)
        entry = self._enter(way)
        entry.written.add_done_callback(lambda _: heard.set())
        try:
            await heard.wait()
        finally:
            waits = self._withdraw(entry)
        return None if waits else await entry.written

    async def _alone(self, way: Way) -> Workload:
        async with self._guarded() as uow:
            return await self._write(uow, way)

    def _enter(self, way: Way) -> _Entry:
        """Let it wait for its turn."""
        entry = _Entry(way, self._store.clock.monotonic())
        (self._later if _can_wait(way) else self._first).append(entry)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="writing workloads")
        return entry

    def _withdraw(self, entry: _Entry) -> bool:
        """Take it back; False where its turn has come already."""
        for lane in (self._first, self._later):
            if entry in lane:
                lane.remove(entry)
                return True
        return False

    @property
    def under_way(self) -> list[asyncio.Task[None]]:
        """What is being written at this moment."""
        return [self._task] if self._task is not None and not self._task.done() else []

    async def _run(self) -> None:
        while self._first or self._later:
            batch: list[_Entry] = []
            try:
                async with self._guarded() as uow:
                    batch = self._turn()
                    saved = [await self._write(uow, entry.way) for entry in batch]
            except Exception as reason:  # noqa: BLE001 - told to those who wait for it
                await self._failed(batch, reason)
            except BaseException as end:
                self._fail([*batch, *self._all()], end)
                raise
            else:
                for entry, one in zip(batch, saved, strict=True):
                    _settle(entry, one)

    def _turn(self) -> list[_Entry]:
        """Whose turn it is: those that give back, with what has waited long; else those that can wait."""
        late = self._store.clock.monotonic() - LATEST_SECONDS
        waited = [entry for entry in self._later if not self._first or entry.since <= late]
        batch = [*self._first[:AT_ONCE], *waited[:LATER_AT_ONCE]]
        for entry in batch:
            self._withdraw(entry)
        return batch

    async def _failed(self, batch: Sequence[_Entry], reason: Exception) -> None:
        """One of them hindered all: each by itself, so that it hinders nobody but itself."""
        if len(batch) < 2:
            self._fail(batch or self._all(), reason)
            return
        for entry in batch:
            try:
                saved = await self._alone(entry.way)
            except Exception as its:  # noqa: BLE001 - told to whoever waits for it
                self._fail([entry], its)
            else:
                _settle(entry, saved)

    def _all(self) -> list[_Entry]:
        waiting = [*self._first, *self._later]
        self._first.clear()
        self._later.clear()
        return waiting

    def _fail(self, entries: Sequence[_Entry], reason: BaseException) -> None:
        for entry in entries:
            if isinstance(reason, asyncio.CancelledError):
                entry.written.cancel()
            elif not entry.written.done():
                entry.written.set_exception(reason)


def _settle(entry: _Entry, saved: Workload) -> None:
    if not entry.written.done():  # whoever waited for it may have been cancelled
        entry.written.set_result(saved)


def _can_wait(way: Way) -> bool:
    """Whether nobody else waits for it: it only says how it stands."""
    return way[-1].phase in _CAN_WAIT and not any(gives_back(before, after) for before, after in pairwise(way))
