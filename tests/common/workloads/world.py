"""A world for workloads: a database, a runtime, owners and staging that can die at any of their steps.

`Killed` stands for kill -9 of the platform: everything in memory is lost, what was committed and what runs stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from common.contracts.shared import ManifestRef
from common.db.database import Database
from common.db.leases import Lease, Leases
from common.db.migrate import upgrade
from common.db.uow import Store, UnitOfWork
from common.kernel.clock import ManualClock
from common.kernel.errors import Problem, StorageFull, Unavailable
from common.ports.staging import StageProgress, StageRequest
from common.service import Kit
from common.workloads import storage
from common.workloads.loop import Workloads
from common.workloads.plan import FolderPlan, HoldPlan, Plan, StagePlan
from common.workloads.workload import Phase, Workload
from tests.support.fake_runtime import FakeRuntime

REF = ManifestRef(address="datasets/x/index", digest="0" * 64, files=1, bytes=1)
PLAN = Plan(
    holds=(HoldPlan(service="dataset-svc", path="/datasets/ds/holds"), HoldPlan(service="algo-svc", path="/a/b/holds")),
    stages=(StagePlan(name="dataset", variable="DATA_DIR", manifest=REF),),
    folders=(FolderPlan(name="results", variable="RESULT_DIR"),),
    command=("train",),
)


class Killed(BaseException):
    """kill -9."""


@dataclass
class Fate:
    """Counts the steps that touch the outside, and kills the platform before or after the one that is named."""

    kill_at: int | None = None
    after: bool = False
    steps: int = 0

    def before_step(self) -> None:
        self.steps += 1
        if self.steps == self.kill_at and not self.after:
            raise Killed

    def after_step(self) -> None:
        if self.steps == self.kill_at and self.after:
            raise Killed


@dataclass
class Calls:
    """The owners of what is held."""

    fate: Fate
    holds: set[str] = field(default_factory=set)
    down: bool = False

    async def put(self, service: str, path: str, body: Any = None) -> None:
        await self._reach()
        self.holds.add(f"{service}{path}")
        self.fate.after_step()

    async def delete(self, service: str, path: str) -> None:
        await self._reach()
        self.holds.discard(f"{service}{path}")
        self.fate.after_step()

    async def _reach(self) -> None:
        self.fate.before_step()
        await asyncio.sleep(0)
        if self.down:
            raise Unavailable("away", "The owner is away.")


@dataclass
class Staging:
    """Folders that are held for workloads."""

    fate: Fate
    held: set[str] = field(default_factory=set)
    gate: asyncio.Event | None = None
    carried_on: int = 0
    broken: Problem | None = None

    async def carry_on(self, request: StageRequest) -> bool:
        self.carried_on += 1
        if self.broken is not None:
            raise self.broken
        return False

    async def stage(
        self,
        request: StageRequest,
        progress: Callable[[StageProgress], None] | None = None,
        *,
        workload: str | None = None,
    ) -> Path:
        self.fate.before_step()
        if progress is not None:
            progress(StageProgress(1, 2))
        if self.gate is not None:
            await self.gate.wait()
        self.held.add(str(workload))
        self.fate.after_step()
        return Path("/staged")

    async def release(self, workload: str) -> None:
        self.fate.before_step()
        self.held.discard(workload)
        self.fate.after_step()


class MortalRuntime(FakeRuntime):
    """The platform may die round every call."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate

    async def launch(self, spec: Any) -> Any:
        self.fate.before_step()
        handle = await super().launch(spec)
        self.fate.after_step()
        return handle

    async def stop(self, handle: Any, grace: float = 10.0, notice: str = "") -> None:
        self.fate.before_step()
        await super().stop(handle, grace, notice)
        self.fate.after_step()

    async def remove(self, handle: Any) -> None:
        self.fate.before_step()
        await super().remove(handle)
        self.fate.after_step()


@dataclass
class Hooks:
    """Notes what it is called with."""

    fate: Fate
    phases: list[tuple[str, Phase]] = field(default_factory=list)
    collected: list[str] = field(default_factory=list)
    full: bool = False
    blind: bool = False

    async def begin(self, uow: UnitOfWork, subject: str) -> None:
        return

    async def changed(self, uow: UnitOfWork, before: Workload | None, after: Workload) -> None:
        uow.after_commit(lambda: self.phases.append((after.id, after.phase)))

    async def observed(self, workload: Workload) -> None:
        if self.blind:
            raise RuntimeError("the service's own look fails")

    async def collect(self, workload: Workload) -> dict[str, Any]:
        self.fate.before_step()
        self.collected.append(workload.id)
        if self.full:
            raise StorageFull("storage_full", "There is no room.")
        self.fate.after_step()
        return {"kept": True}


class World:
    """One service's workloads; `restart` is what follows a kill."""

    def __init__(self, database: Database) -> None:
        self.fate = Fate()
        self.clock = ManualClock()
        self.store = Store(database, "test-svc", self.clock)
        self.runtime = MortalRuntime(self.fate)
        self.calls = Calls(self.fate)
        self.staging = Staging(self.fate)
        self.hooks = Hooks(self.fate)
        self.restart()

    @classmethod
    async def open(cls, folder: Path) -> World:
        database = Database(f"sqlite+aiosqlite:///{folder / 'world.sqlite3'}", durable=False)
        await upgrade(database)
        return cls(database)

    def restart(self) -> None:
        """A fresh process: nothing in memory but what it reads."""
        self.runtime.forget_listeners()
        self.lease: Lease | None = None
        platform: Any = SimpleNamespace(runtime=self.runtime, staging=self.staging, engines=None, clock=self.clock)
        kit: Any = Kit("test-svc", platform, self.store, Leases(self.store.database, "one"), None, self.calls)  # type: ignore[arg-type]
        self.workloads = Workloads(kit, self.hooks, "job")

    async def close(self) -> None:
        await self.workloads.close()
        await self.store.database.close()

    async def ask(self, workload_id: str = "att-1", plan: Plan = PLAN, *, grant: bool = True) -> None:
        async with self.store.work() as uow:
            await self.workloads.request(uow, workload_id, "job-1", "alice", plan)
            if grant:
                await self.workloads.grant(uow, workload_id, ())

    async def stop(self, workload_id: str = "att-1", grace: float = 10.0) -> None:
        async with self.store.work() as uow:
            await self.workloads.ask_stop(uow, workload_id, grace=grace)

    async def round(self) -> None:
        """One round of the loop, long after the last one, until nothing is under way.

        Where that killed the platform it is started again.
        """
        self.clock.advance(60)
        loop = self.workloads.loop
        leases = Leases(self.store.database, "one")
        if self.lease is None or not await leases.renew(self.lease, 60):
            self.lease = await leases.acquire(loop.name, 60)
        await loop.body(self.lease)
        dead = False
        while tasks := self.workloads.under_way():
            done = await asyncio.gather(*tasks, return_exceptions=True)
            dead = dead or any(isinstance(end, Killed) for end in done)
        if dead:
            self.fate.kill_at = None
            self.restart()

    async def find(self, workload_id: str = "att-1") -> Workload:
        async with self.store.reading() as connection:
            return await storage.get(connection, workload_id)
