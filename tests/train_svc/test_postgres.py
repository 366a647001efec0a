"""The same storage on PostgreSQL, where several instances of train-svc plan and write at the same time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import select

from common.contracts.allocation import AllocationRequested
from common.contracts.shared import Resources
from common.db.aggregates import PageRequest
from common.db.database import Database
from common.db.migrate import downgrade, upgrade
from common.db.uow import Store
from common.kernel.clock import ManualClock
from common.kernel.errors import Conflict
from tests.servers.postgres import Postgres
from tests.train_svc.conftest import Nodes, gpus
from train_svc.domain.allocation import AllocationState
from train_svc.domain.points import Column, from_lines
from train_svc.ledger import Ledger, granted_now
from train_svc.metrics import Metrics
from train_svc.service import MIGRATIONS
from train_svc.storage import allocations, allocations_table, granted_devices


async def migrate(url: str) -> None:
    made = Database(url)
    await upgrade(made, MIGRATIONS)
    await made.close()


@pytest.fixture
async def url(postgres: Postgres) -> AsyncIterator[str]:
    made = await postgres.copy_of("train", migrate)
    yield made
    await postgres.drop(made)


@pytest.fixture
async def empty_url(postgres: Postgres) -> AsyncIterator[str]:
    async def leave_empty(_url: str) -> None:
        return

    made = await postgres.copy_of("empty-for-metrics", leave_empty)
    yield made
    await postgres.drop(made)


async def test_two_instances_never_give_a_device_twice(url: str) -> None:
    stores = [Store(Database(url), "train-svc", ManualClock()) for _ in range(2)]
    ledgers = [Ledger(Nodes([gpus(3)]), 1.0) for _ in stores]
    for ledger in ledgers:
        await ledger.look()

    async def use(number: int) -> None:
        """Ask, and give back: as the inbox does, again where another instance was faster."""
        which = number % 2
        ask = AllocationRequested(
            id=f"alloc-{number}",
            workload=f"w-{number}",
            kind="replica",
            owner="alice",
            resources=Resources(accelerator="gpu", count=random.choice([1, 2]), cpu=0.1),
        )
        for act in (
            lambda uow: ledgers[which].submit(uow, ask),
            lambda uow: ledgers[1 - which].free(uow, ask.id, ask.workload, "replica", "alice"),
        ):
            while True:
                try:
                    async with stores[which].work() as uow:
                        await act(uow)
                except Conflict:
                    continue
                break
            await check()

    async def check() -> None:
        async with stores[0].reading() as connection:
            held = [d for a in await granted_now(connection) for p in a.placements for d in p.devices]
            rows = list((await connection.execute(select(granted_devices.c.device))).scalars())
        assert max(Counter(held).values(), default=0) <= 1
        assert sorted(rows) == sorted(held)

    await asyncio.gather(*(use(number) for number in range(24)))
    async with stores[0].reading() as connection:
        page = await allocations.page(
            connection, PageRequest(limit=5), allocations_table.c.name.icontains("W-1", autoescape=True)
        )
        everything = await allocations.where(connection, allocations_table.c.state != AllocationState.WAITING)
    assert len(page.items) == 5
    assert {allocation.state for allocation in everything} <= {AllocationState.RELEASED, AllocationState.CANCELLED}
    assert sorted(a.number for a in everything) == sorted({a.number for a in everything})
    for store in stores:
        await store.database.close()


async def test_curves_from_two_instances(empty_url: str) -> None:
    one, other = Metrics(Database(empty_url)), Metrics(Database(empty_url))
    await asyncio.gather(one.start(), other.start())
    await asyncio.gather(
        *(
            metrics.add({"att": {"loss": Column([n * 2 + k], [0.5])}})
            for n in range(40)
            for k, metrics in enumerate((one, other))
        )
    )
    assert await one.curves("att") == {"loss": [(step, 0.5) for step in range(80)]}
    text = b'{"step": 1, "a": 1}\n'
    read = await asyncio.gather(*(m.follow("b", 0, len(text), from_lines(text)) for m in (one, other)))
    assert sorted(read) == [False, True]
    assert await other.latest(["att", "b"]) == {"att": {"loss": 0.5}, "b": {"a": 1.0}}
    await one.forget("att")
    assert await one.curves("att") == {}
    await one.close()
    await other.close()


async def test_migrations_go_back(url: str) -> None:
    database = Database(url)
    await downgrade(database, MIGRATIONS, "train@base")
    await upgrade(database, MIGRATIONS)
    await database.close()
