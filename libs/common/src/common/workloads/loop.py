"""The loop: brings every workload of a service one step further, as often as there is a step to take.

Load, act outside the transaction, apply guarded: a step whose workload changed meanwhile is thrown away and taken
again. What was asked (`request`, `ask_stop`, `granted`) is recorded by reactions and use cases in their transactions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import structlog

from common.contracts.allocation import AllocationConfirmed
from common.contracts.allocation import Workload as Kind
from common.db.database import may_lock
from common.db.leases import Lease, LeaseLost
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Unavailable
from common.kernel.pauses import Pauses
from common.loops import Loop
from common.service import Kit
from common.workloads import storage
from common.workloads.asked import Asked, Hooks
from common.workloads.gangs import workload_of
from common.workloads.holding import Holding
from common.workloads.progress import Progress, Stand
from common.workloads.steps import Steps
from common.workloads.workload import Phase, Workload
from common.workloads.writing import Way, Writing

log = structlog.get_logger("workloads")

TICK_SECONDS = 1.0
LAUNCH_SECONDS = 3.0
"""How long a lease must last at least for what is done without asking whose it is."""
FIRST_LOOK_SECONDS = 0.1
"""How long is waited after a launch for the word that it began, before the launch alone is written down."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
"""Seconds that one that could not go on is left alone, the first time and at most."""
HEARTBEAT_SECONDS = 60.0
"""How often the ledger is told which allocations still have their workloads."""


class Workloads(Asked):
    """The workloads of one service."""

    def __init__(self, kit: Kit, hooks: Hooks, kind: Kind) -> None:
        super().__init__(kit, hooks, kind)
        self._progress = Progress(kit.store)
        self._holding = Holding(kit, self._guarded)
        self._steps = Steps(kit, hooks.collect, self._may_launch, self._progress.here, self._holding)
        self._writing = Writing(kit.store, self._guarded, self._write)
        self._known: set[str] = set()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._changed: set[str] = set()
        self._heard: dict[str, asyncio.Event] = {}
        self._pauses = Pauses(kit.store.clock, FIRST_PAUSE, LONGEST_PAUSE)
        self._interrupted: set[str] = set()
        self._lease: Lease | None = None
        self._tidier: asyncio.Task[None] | None = None
        self._beat = kit.store.clock.monotonic() + HEARTBEAT_SECONDS
        self.loop = Loop("workloads", self._round, every=TICK_SECONDS, lost=self._lost)
        kit.platform.runtime.on_change(self._hear)

    # The loop

    def _hear(self, member: str) -> None:
        """The runtime tells every service of all workloads. One of ours that is not known yet is seen in a round."""
        if (workload_id := workload_of(member)) in self._known:
            self.wake(workload_id)

    def wake(self, workload_id: str, known: Workload | None = None) -> None:
        """Look at this one soon; `known` is how somebody has just written it down."""
        if self._lease is None:
            return
        self._known.add(workload_id)
        if (task := self._busy.get(workload_id)) is not None and not task.done():
            self._again.add(workload_id)
            if known is not None:
                self._changed.add(workload_id)
            if (heard := self._heard.get(workload_id)) is not None:
                heard.set()
            return
        self._busy[workload_id] = asyncio.create_task(self._advance(workload_id, known), name=f"workload {workload_id}")

    def _interrupt(self, workload_id: str) -> None:
        """Don't finish staging or building an engine for one that is to end; what was staged is kept for others."""
        if (task := self._busy.get(workload_id)) is not None:
            task.cancel()
            task.add_done_callback(lambda _: self.wake(workload_id))

    def under_way(self) -> list[asyncio.Task[None]]:
        """The steps that are being taken at this moment."""
        tidier = [self._tidier] if self._tidier is not None and not self._tidier.done() else []
        return [*self._busy.values(), *tidier, *self._writing.under_way]

    async def close(self) -> None:
        """Stop stepping; workloads go on by themselves."""
        self._lease = None
        tasks = self.under_way()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _lost(self) -> None:
        """Another instance steps from now on: what is under way here ends."""
        if self._lease is not None:
            self._lease = None
            self._progress.forget()
            for task in self.under_way():
                task.cancel()

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[UnitOfWork]:
        """A unit of work under the loop's lease. Raises LeaseLost."""
        async with self._kit.store.work() as uow:
            if self._lease is None:
                raise LeaseLost("workloads")
            if not (self._surely() and self._kit.store.database.is_sqlite):  # whose file one process at a time has
                await self._kit.leases.guard(uow.connection, self._lease)
            yield uow

    def _surely(self) -> bool:
        """Whether the lease can't be another's yet, so that nobody need be asked."""
        now = self._kit.store.clock.monotonic()
        return self._lease is not None and now < self.loop.held_until - LAUNCH_SECONDS

    async def _take_over(self, lease: Lease | None) -> None:
        """Step from now on, from where whoever stepped before came to."""
        async with self._kit.store.reading() as connection:
            going_on = await storage.going_on(connection)
        await self._holding.begin([(one.id, one.plan.holds) for one in going_on])
        self._lease = lease

    async def _may_launch(self, workload: Workload) -> None:
        """Raise LeaseLost unless it is still ours to launch: preparing may have taken so long that another instance has
        run it to its end meanwhile. What else may change it is asking for its end, and that comes in time later too."""
        if self._surely():
            return
        async with self._guarded() as uow:
            now = await storage.find(uow.connection, workload.id)
        if now is None or now.version != workload.version:
            raise LeaseLost(f"{workload.id} was changed while it was prepared")

    async def _round(self, lease: Lease | None) -> None:
        if lease != self._lease:
            await self._take_over(lease)
        async with self._kit.store.reading() as connection:
            ids = await storage.unfinished(connection)
            stopped = await storage.to_be_stopped(connection, self._busy.keys())
        for workload_id in stopped - self._interrupted:
            self._interrupt(workload_id)  # it was asked of another instance
        self._interrupted = stopped
        self._known = {*ids, *self._busy}
        for workload_id in ids:
            if workload_id not in self._busy and self._pauses.over(workload_id):
                self.wake(workload_id)
        self._pauses.keep(ids)
        if self._tidier is None or self._tidier.done():  # an owner that hangs delays nobody
            self._tidier = asyncio.create_task(self._tidy(), name="holds")
        await self._progress.tell()
        if (now := self._kit.store.clock.monotonic()) >= self._beat:
            self._beat = now + HEARTBEAT_SECONDS
            await self._confirm()

    async def _tidy(self) -> None:
        try:
            await self._holding.tidy()
        except (LeaseLost, Unavailable) as problem:
            log.info("holds wait", reason=str(problem))
        except Exception:
            log.exception("holds could not be released, will be tried again")

    async def _confirm(self) -> None:
        """Tell the ledger which allocations are still known here, waiting ones too."""
        async with self._kit.store.work() as uow:
            ids = tuple(f"alloc-{known}" for known in await storage.not_ended(uow.connection))
            if ids:
                told = AllocationConfirmed(holder=self._kit.service, ids=ids)
                uow.emit(told, subject=f"heartbeat-{self._kit.service}")

    async def _advance(self, workload_id: str, known: Workload | None = None) -> None:
        try:
            known = known or await self._read(workload_id)
            while known is not None:
                known, more = await self._step(known)
                if workload_id in self._changed:
                    known = await self._read(workload_id)
                elif not more and workload_id not in self._again:
                    break
                self._again.discard(workload_id)
                self._changed.discard(workload_id)
            self._pauses.end(workload_id)
        except (Conflict, LeaseLost):
            self.loop.wake()  # it changed meanwhile, or another instance has it: look afresh
        except Unavailable as problem:
            await self._wait(workload_id, problem.detail)
        except Exception:
            log.exception("step failed, will be tried again", workload=workload_id)
            self._pauses.begin(workload_id)
        finally:
            for heard in (self._again, self._changed):
                heard.discard(workload_id)  # who looks next reads it anyway
            self._busy.pop(workload_id, None)

    async def _read(self, workload_id: str) -> Workload | None:
        async with self._kit.store.reading() as connection:
            return await storage.find(connection, workload_id)

    async def _step(self, workload: Workload) -> tuple[Workload | None, bool]:
        """One step; gives what came of it (nothing where there is no more to come), and whether the next can follow at
        once."""
        if workload.phase in (Phase.WAITING, Phase.ENDED):
            return None, False
        if workload.phase == Phase.RUNNING:
            await self._look_at(workload)
        after = await self._steps.take(workload, self._report(workload))
        if after is None:
            return workload, False
        launched = after.phase == Phase.RUNNING and workload.phase == Phase.PREPARING
        saved = await (self._launched([workload, after]) if launched else self._writing.write([workload, after]))
        if saved.phase != workload.phase:
            self.progress.pop(saved.id, None)
        return saved, saved.phase != workload.phase

    async def _launched(self, way: list[Workload]) -> Workload:
        """Write down a launch, with what becomes of it until its turn to be written comes: most begin at once, and many
        a one is over by then. Killed before, it is launched again, which gives the same."""
        self._heard[way[0].id] = heard = asyncio.Event()
        try:
            if await self._tells(heard, way[0].id):
                way += await self._seen(way[-1])
            saved = await self._writing.write_unless(heard, way)
            if saved is not None:
                return saved
            self._again.discard(way[0].id)
            return await self._writing.write([*way, *await self._seen(way[-1])])
        finally:
            self._heard.pop(way[0].id, None)

    async def _tells(self, heard: asyncio.Event, workload_id: str) -> bool:
        """Whether there is word of it within a moment."""
        try:
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await (heard.wait() if workload_id not in self._again else asyncio.sleep(0))
        except TimeoutError:
            return False
        self._again.discard(workload_id)
        heard.clear()
        return True

    async def _seen(self, workload: Workload) -> list[Workload]:
        """What there is to be seen of it now, if that is anything new."""
        try:
            after = await self._steps.take(workload, self._report(workload))
        except Unavailable:
            return []
        return [after] if after is not None else []

    async def _look_at(self, workload: Workload) -> None:
        """The service's own look; whatever it stumbles over, the workload's end must be seen."""
        try:
            await self._hooks.observed(workload)
        except Unavailable as problem:
            log.info("nothing observed now", workload=workload.id, reason=problem.detail)
        except Exception:
            log.exception("observing failed, goes on", workload=workload.id)

    def _report(self, workload: Workload) -> Callable[[float, str], None]:
        """Progress of preparing, kept in memory until the next change is written."""

        def report(progress: float, note: str) -> None:
            self.progress[workload.id] = (progress, note)

        return report

    @property
    def progress(self) -> dict[str, Stand]:
        """How preparing stands, by workload, as far as it is this instance that prepares."""
        return self._progress.here

    async def progress_of(self, workloads: Collection[str]) -> dict[str, Stand]:
        """How preparing these stands, whichever instance does it; there it is noted at every turn."""
        return self.progress if self._lease is not None else await self._progress.elsewhere(workloads)

    async def _write(self, uow: UnitOfWork, way: Way) -> Workload:
        """Write down how it went on; gives it as it is stored."""
        if may_lock(uow.connection):
            await self._hooks.begin(uow, way[0].subject)
        return await self._change(uow, *way)

    async def _wait(self, workload_id: str, reason: str) -> None:
        """Something it needs is not there now: say so, and try again after a growing pause."""
        self._pauses.begin(workload_id)
        log.warning("workload waits", workload=workload_id, reason=reason)
        self.progress[workload_id] = (0.0, reason)
