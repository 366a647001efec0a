"""The same storage on PostgreSQL, where several instances of train-svc plan and write at the same time."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from sqlalchemy import select, text

from common.contracts.allocation import AllocationRequested
from common.contracts.shared import Resources
from common.db.aggregates import PageRequest
from common.db.database import Database
from common.db.migrate import downgrade, upgrade
from common.db.uow import Store
from common.kernel.clock import ManualClock
from common.kernel.errors import Conflict, Unavailable
from tests.servers.postgres import Postgres
from tests.train_svc.conftest import Nodes, gpus
from tests.train_svc.planner_process import LEASE_SECONDS
from tests.train_svc.test_ledger import back_and_forth
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.domain.points import Column, from_lines
from train_svc.ledger import Ledger, granted_now, promised
from train_svc.metrics import Metrics
from train_svc.service import MIGRATIONS
from train_svc.storage import allocations, allocations_table, granted_devices, node_usage


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
    await back_and_forth(Store(database, "train-svc", ManualClock()))
    await downgrade(database, MIGRATIONS, "train@base")
    await upgrade(database, MIGRATIONS)
    await database.close()


async def booked(store: Store) -> int:
    """How many devices are promised, now that none of them is twice, and counters and rows say what is held."""
    async with store.reading() as connection:
        held = await granted_now(connection)
        rows = sorted(tuple(row) for row in await connection.execute(select(granted_devices)))
        used = {row.node: (row.cpu, row.memory) for row in await connection.execute(select(node_usage))}
    told = sorted((p.node, d, one.id) for one in held for p in one.placements for d in p.devices)
    assert max(Counter((node, device) for node, device, _ in told).values(), default=1) == 1
    assert rows == told
    cpu, memory = promised(held)
    assert {node: both for node, both in used.items() if any(both)} == {n: (cpu[n], memory[n]) for n in cpu}
    return len(rows)


async def _scheduler(url: str, name: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "tests.train_svc.planner_process", url, name)
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


async def _does(process: asyncio.subprocess.Process, times: int) -> list[str]:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        lines = [(await process.stdout.readline()).decode() for _ in range(times)]
    assert all(lines), "it has ended"
    return lines


@pytest.mark.row("T19")
async def test_a_scheduler_that_is_paused_past_its_lease_and_resumed_books_nothing_twice(url: str) -> None:
    store = Store(Database(url), "train-svc", ManualClock())
    old, new = await _scheduler(url, "old"), await _scheduler(url, "new")
    try:
        for _ in range(4):
            await _does(old, 3)
            old.send_signal(signal.SIGSTOP)
            with suppress(TimeoutError):  # it may have been stopped within a transaction, which then has the ledger
                async with asyncio.timeout(3 * LEASE_SECONDS):
                    await _does(new, 40)
            await booked(store)
            old.send_signal(signal.SIGCONT)
            lines = await _does(new, 3) + await _does(old, 3)
            await booked(store)
            assert len(lines) == 6
    finally:
        for process in (old, new):
            process.kill()
            await process.wait()
    assert await booked(store) <= 4
    await store.database.close()


@pytest.mark.row("T19")
async def test_one_who_slept_within_a_transaction_finds_it_ended(url: str) -> None:
    """What a scheduler would write after it was paused for longer than the database waits for it."""
    store = Store(Database(url), "train-svc", ManualClock())
    slow, quick = (Ledger(Nodes([gpus(1)]), 1.0, holder=name) for name in ("slow", "quick"))
    for ledger in (slow, quick):
        await ledger.look()

    def ask(name: str) -> AllocationRequested:
        resources = Resources(accelerator="gpu", count=1, cpu=0.1)
        return AllocationRequested(id=name, workload=name, kind="replica", owner="alice", resources=resources)

    async def sleeps_over_its_plan() -> None:
        async with store.work() as uow:
            await slow.take(uow, ask("alloc-slow"))
            await uow.connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 100"))
            async with store.work() as other:  # waits until the database has ended the first
                granted.append(await quick.take(other, ask("alloc-quick")))

    granted: list[Allocation] = []
    with pytest.raises(Unavailable):
        await sleeps_over_its_plan()
    assert [one.state for one in granted] == [AllocationState.GRANTED]
    async with store.work() as uow:
        assert (await slow.take(uow, ask("alloc-again"))).state == AllocationState.WAITING
        assert (slow.memory.rebuilt, slow.epoch) == (2, 2)
    assert await booked(store) == 1
    await store.database.close()
