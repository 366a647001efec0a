"""Holds at the owners of what workloads use: one for all workloads of this service that need the same.

A dataset on which a thousand jobs train is held once, not a thousand times. A hold is written down before it is taken,
and marked before it is released, both under the loop's lease: so whoever leads after a kill finds every hold that there
may be, and goes on with it or releases it. Each has a name of its own, so a release that comes late releases nothing
that was taken anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager

import structlog
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import read_models
from common.db.uow import UnitOfWork
from common.kernel.errors import NotFound, Problem, Unavailable
from common.kernel.ids import new_id
from common.service import Kit
from common.workloads.plan import HoldPlan

log = structlog.get_logger("workloads")

KIND = "hold"
IDLE_SECONDS = 10.0
"""How long a hold that nobody needs is kept for whoever comes next."""

_MINE = (read_models.c.kind == KIND) & (read_models.c.id == bindparam("its_id"))
_WRITE = insert(read_models)
_MARK = update(read_models).where(_MINE).values(gone=True)
_FORGET = delete(read_models).where(_MINE)

Guarded = Callable[[], AbstractAsyncContextManager[UnitOfWork]]
"""A unit of work that fails where the loop's lease is another's."""


class Holding:
    """The holds of one service's workloads, for the instance that steps them."""

    def __init__(self, kit: Kit, guarded: Guarded) -> None:
        self._kit = kit
        self._guarded = guarded
        self._names: dict[HoldPlan, str] = {}
        self._sure: set[HoldPlan] = set()
        self._going: dict[str, HoldPlan] = {}
        self._needs: dict[HoldPlan, set[str]] = {}
        self._idle: dict[HoldPlan, float] = {}
        self._turns: dict[HoldPlan, asyncio.Lock] = {}

    async def begin(self, needed: Iterable[tuple[str, Iterable[HoldPlan]]]) -> None:
        """This instance steps from now on: find what is held, for these workloads (id, holds) and for none."""
        found = select(read_models.c.id, read_models.c.doc, read_models.c.gone).where(read_models.c.kind == KIND)
        async with self._kit.store.reading() as connection:
            rows = (await connection.execute(found.order_by(read_models.c.id))).all()
        for known in (self._names, self._sure, self._going, self._needs, self._idle):
            known.clear()
        for row in rows:
            hold = HoldPlan.model_validate(row.doc)
            if row.gone or hold in self._names:
                self._going[row.id] = hold
            else:
                self._names[hold] = row.id
        for workload, holds in needed:
            for hold in holds:
                self._needs.setdefault(hold, set()).add(workload)
        self._idle = {hold: self._now() for hold in self._names if not self._needs.get(hold)}

    async def take(self, workload: str, holds: Iterable[HoldPlan]) -> None:
        """Hold all of it until `drop`. Waits for every owner also where one refuses.

        Raises what the first that refuses answers, Unavailable where one is away.
        """
        for failure in await asyncio.gather(*(self._take(workload, hold) for hold in holds), return_exceptions=True):
            if isinstance(failure, BaseException):
                raise failure

    async def _take(self, workload: str, hold: HoldPlan) -> None:
        self._needs.setdefault(hold, set()).add(workload)
        self._idle.pop(hold, None)
        if hold in self._sure:
            return
        async with self._turns.setdefault(hold, asyncio.Lock()):
            if hold in self._sure:
                return
            if hold not in self._names:
                name = new_id("hold")
                async with self._guarded() as uow:
                    await _write(uow.connection, name, hold)
                self._names[hold] = name
            await self._kit.calls.put(hold.service, f"{hold.path}/{self._names[hold]}")
            self._sure.add(hold)

    def drop(self, workload: str, holds: Iterable[HoldPlan]) -> None:
        """This one needs it no more."""
        for hold in holds:
            needing = self._needs.get(hold, set())
            needing.discard(workload)
            if not needing:
                self._needs.pop(hold, None)
                if hold in self._names:
                    self._idle.setdefault(hold, self._now())

    async def tidy(self) -> None:
        """Release what nobody has needed for a while. An owner that is away is asked again at the next turn."""
        late = self._now() - IDLE_SECONDS
        for hold in [hold for hold, since in self._idle.items() if since <= late]:
            async with self._turns.setdefault(hold, asyncio.Lock()):
                if hold in self._idle:
                    await self._mark(hold)
        for name, hold in list(self._going.items()):
            await self._release(name, hold)

    async def _mark(self, hold: HoldPlan) -> None:
        """Nobody may go on with it from here on."""
        name = self._names.pop(hold)
        self._sure.discard(hold)
        self._idle.pop(hold, None)
        self._going[name] = hold
        async with self._guarded() as uow:
            await uow.connection.execute(_MARK, {"its_id": name})

    async def _release(self, name: str, hold: HoldPlan) -> None:
        if not await _answered(self._kit.calls.delete(hold.service, f"{hold.path}/{name}")):
            return
        async with self._guarded() as uow:
            await uow.connection.execute(_FORGET, {"its_id": name})
        self._going.pop(name, None)

    def _now(self) -> float:
        return self._kit.store.clock.monotonic()


async def _write(connection: AsyncConnection, name: str, hold: HoldPlan) -> None:
    doc = hold.model_dump(mode="json")
    await connection.execute(_WRITE, {"kind": KIND, "id": name, "sequence": 0, "gone": False, "doc": doc})


async def _answered(call: Awaitable[object]) -> bool:
    """Whether the owner has released it, or knows nothing of it."""
    try:
        await call
    except Unavailable:
        return False
    except Problem as problem:
        if problem.status != NotFound.status:
            log.warning("hold not released, will be tried again", code=problem.code, reason=problem.detail)
            return False
    return True
