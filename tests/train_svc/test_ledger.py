"""The ledger under everybody's requests: no device twice, in order, once whatever is heard twice or out of order."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError

from common.contracts.allocation import AllocationCancelled, AllocationReleased, AllocationRequested
from common.contracts.shared import Resources
from common.db.database import Database
from common.db.migrate import downgrade, upgrade
from common.db.uow import Store, UnitOfWork
from common.kernel.clock import ManualClock
from common.ports.inventory import Node
from tests.train_svc.conftest import Nodes, Yard, eventually, gpus
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.ledger import Gone, Ledger, granted_now, promised, waiting_in_order
from train_svc.service import MIGRATIONS
from train_svc.storage import allocations, granted_devices, ledgers, node_usage


class Books:
    """A ledger over a database of its own."""

    def __init__(self, folder: Path, *nodes: Node) -> None:
        database = Database(f"sqlite+aiosqlite:///{folder / 'ledger.sqlite3'}", durable=False)
        self.store = Store(database, "train-svc", ManualClock())
        self.ledger = Ledger(Nodes(list(nodes)), cpu_overcommit=1.0, on_grant=self._on_grant)
        self.granted_jobs: list[str] = []

    async def _on_grant(self, _uow: Any, allocation: Allocation) -> None:
        self.granted_jobs.append(allocation.id)

    async def open(self) -> Books:
        await upgrade(self.store.database, MIGRATIONS)
        await self.ledger.look()
        return self

    async def ask(self, name: str, resources: Resources, kind: Any = "replica") -> Allocation:
        ask = AllocationRequested(id=name, workload=f"w-{name}", kind=kind, owner="alice", resources=resources)
        async with self.store.work() as uow:
            return await self.ledger.submit(uow, ask)

    async def free(self, name: str) -> None:
        async with self.store.work() as uow:
            await self.ledger.free(uow, name, f"w-{name}", "replica", "alice")

    async def hear(self, uow: UnitOfWork, name: str, resources: Resources | None) -> None:
        told: AllocationRequested | Gone = Gone(name, f"w-{name}", "replica", "alice")
        if resources is not None:
            told = AllocationRequested(
                id=name, workload=f"w-{name}", kind="replica", owner="alice", resources=resources
            )
        await self.ledger.hear(uow, told)

    async def plans(self) -> int:
        """How many there were in all."""
        async with self.store.reading() as connection:
            counted = (await connection.execute(select(ledgers.c.number))).scalar_one_or_none()
            return 0 if counted is None else int(counted) + 1

    async def check(self) -> None:
        """What holds at all times: the rows of devices are what is granted, and nothing fits that is first in line."""
        async with self.store.reading() as connection:
            granted, waiting = await granted_now(connection), await waiting_in_order(connection)
            rows = (await connection.execute(select(granted_devices))).all()
            used = (await connection.execute(select(node_usage))).all()
        held = {(p.node, d, a.id) for a in granted for p in a.placements for d in p.devices}
        assert {tuple(row) for row in rows} == held
        cpu, memory = promised(granted)
        assert all(cpu[node.name] <= node.cpu * 1000 and memory[node.name] <= node.memory for node in self.ledger.nodes)
        assert {row.node: (row.cpu, row.memory) for row in used if row.cpu or row.memory} == {
            node: (cpu[node], memory[node]) for node in cpu
        }
        assert {one.id for one in waiting} == set(self.ledger.memory.state.books.lines.requests)


ASKS = st.builds(
    Resources,
    cpu=st.sampled_from([0.5, 1.0, 3.0]),
    accelerator=st.just("gpu"),
    count=st.integers(1, 2),
    nodes=st.integers(1, 2),
)
STEPS = st.lists(st.tuples(st.sampled_from(["ask", "free", "again"]), st.integers(0, 7), ASKS), max_size=25)


@settings(max_examples=25)
@given(STEPS)
def test_asked_and_freed_in_any_order_and_any_number_of_times(steps) -> None:
    asyncio.run(_any_order(steps))


async def _any_order(steps: list[tuple[str, int, Resources]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        books = await Books(Path(folder), gpus(2, "a", cpu=4), gpus(3, "b", cpu=4)).open()
        freed: set[str] = set()
        for step, number, resources in steps:
            name = f"alloc-{number}"
            if step == "free":
                await books.free(name)
                freed.add(name)
            else:
                state = (await books.ask(name, resources)).state
                assert not (name in freed and state in (AllocationState.WAITING, AllocationState.GRANTED))
            await books.check()
        for number in range(8):
            await books.free(f"alloc-{number}")
        await books.check()
        async with books.store.reading() as connection:
            assert await granted_now(connection) == []
        await books.store.database.close()


@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), ASKS), max_size=25))
def test_what_is_heard_together_is_planned_for_once_and_holds_as_well(steps) -> None:
    asyncio.run(_together(steps))


async def _together(steps: list[tuple[bool, int, Resources]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        books = await Books(Path(folder), gpus(2, "a", cpu=4), gpus(3, "b", cpu=4)).open()
        over: set[str] = set()
        for start in range(0, len(steps), 8):
            heard, before = steps[start : start + 8], await books.plans()
            async with books.store.work() as uow:
                for asks, number, resources in heard:
                    await books.hear(uow, f"alloc-{number}", resources if asks else None)
            assert await books.plans() - before == _plans_for([number for _, number, _ in heard])
            await books.check()
            over |= {f"alloc-{number}" for asks, number, _ in heard if not asks}
            async with books.store.reading() as connection:
                open_ones = [*await granted_now(connection), *await waiting_in_order(connection)]
            assert not over & {one.id for one in open_ones}
        await books.store.database.close()


def _plans_for(numbers: list[int]) -> int:
    """One plan for all, and one more each time when one is heard of again that the next plan is for already."""
    plans, seen = 1, set[int]()
    for number in numbers:
        if number in seen:
            plans, seen = plans + 1, set()
        seen.add(number)
    return plans


async def test_many_that_leave_in_one_batch_are_one_plan(tmp_path: Path) -> None:
    books = await Books(tmp_path, gpus(40, cpu=100)).open()
    one_gpu = Resources(accelerator="gpu", count=1)
    for leaving, coming in ((range(0), range(40)), (range(40), range(40, 80))):
        before = await books.plans()
        async with books.store.work() as uow:
            for number in leaving:
                await books.hear(uow, f"alloc-{number:02}", None)
            for number in coming:
                await books.hear(uow, f"alloc-{number:02}", one_gpu)
        assert await books.plans() == before + 1
        async with books.store.reading() as connection:
            assert sorted(one.id for one in await granted_now(connection)) == [f"alloc-{n:02}" for n in coming]
    await books.check()
    await books.store.database.close()


async def test_the_database_itself_refuses_a_device_given_twice(tmp_path: Path) -> None:
    books = await Books(tmp_path, gpus(1)).open()
    await books.ask("alloc-1", Resources(accelerator="gpu", count=1))
    twice = insert(granted_devices).values(node="one", device="gpu-0", allocation="alloc-2")
    async with books.store.work() as uow:
        with pytest.raises(IntegrityError):
            await uow.connection.execute(twice)
    await downgrade(books.store.database, MIGRATIONS, "train@base")
    await books.store.database.close()


async def back_and_forth(store: Store) -> None:
    """What was promised by the code before is promised still, and the other way round."""
    ledger = Ledger(Nodes([gpus(2, cpu=4)]), 1.0)
    await ledger.look()
    for number, preempted in ((1, False), (2, True)):
        resources = Resources(accelerator="gpu", count=1, cpu=1.5, memory=1 << 20)
        ask = AllocationRequested(
            id=f"alloc-{number}", workload="w", kind="replica", owner="alice", resources=resources
        )
        async with store.work() as uow:
            assert (await ledger.take(uow, ask)).state == AllocationState.GRANTED
            if preempted:
                await ledger.preempt(uow, [ask.id], "drained", 5.0)
    await downgrade(store.database, MIGRATIONS, "train_0001")
    async with store.reading() as connection:
        states = list(await connection.execute(text("SELECT state FROM allocations ORDER BY id")))
    assert [state for (state,) in states] == ["granted", "granted"]
    await upgrade(store.database, MIGRATIONS)
    async with store.reading() as connection:
        (used,) = (await connection.execute(select(node_usage))).all()
        held = await granted_now(connection)
    assert (used.node, used.cpu, used.memory) == ("one", 3000, 2 << 20)
    assert [one.state for one in held] == [AllocationState.GRANTED] * 2
    async with store.work() as uow:
        await ledger.end(uow, [one.id for one in held])
        assert {(row.cpu, row.memory) for row in await uow.connection.execute(select(node_usage))} == {(0, 0)}


async def test_migrations_carry_what_is_promised(tmp_path: Path) -> None:
    books = await Books(tmp_path).open()
    await back_and_forth(books.store)
    await books.store.database.close()


async def test_a_request_that_comes_after_it_was_cancelled_gets_nothing(tmp_path: Path) -> None:
    books = await Books(tmp_path, gpus(1)).open()
    await books.free("alloc-1")
    assert (await books.ask("alloc-1", Resources(cpu=1))).state == AllocationState.CANCELLED
    await books.store.database.close()


async def test_only_jobs_are_granted_here_the_others_are_told(tmp_path: Path) -> None:
    books = await Books(tmp_path, gpus(1)).open()
    await books.ask("alloc-1", Resources(), kind="job")
    await books.ask("alloc-2", Resources(), kind="notebook")
    assert books.granted_jobs == ["alloc-1"]
    await books.store.database.close()


async def test_a_node_that_comes_is_used_by_those_who_wait(tmp_path: Path) -> None:
    books = await Books(tmp_path, Node("one", 2, 1 << 30)).open()
    await books.ask("alloc-1", Resources(cpu=2))
    assert (await books.ask("alloc-2", Resources(cpu=2))).state == AllocationState.WAITING
    assert not await books.ledger.look()
    books.ledger.inventory.items.append(Node("two", 2, 1 << 30))  # type: ignore[attr-defined]
    assert await books.ledger.look()
    async with books.store.work() as uow:
        assert await books.ledger.fill(uow) == 1
    await books.store.database.close()


async def test_replicas_ask_by_events_and_are_answered_by_events(yard: Yard) -> None:
    other = yard.owners.datasets

    def asks(number: int, cpu: float) -> AllocationRequested:
        return AllocationRequested(
            id=f"alloc-r{number}", workload=f"rep-{number}", kind="replica", owner="bob", resources=Resources(cpu=cpu)
        )

    for request in (asks(1, 6.0), asks(2, 6.0), asks(3, 99.0)):
        await other.tell(request)
    (granted,) = await eventually(lambda: yard.events("allocation.granted"))
    assert granted["data"]["workload"] == "rep-1"
    (refused,) = await eventually(lambda: yard.events("allocation.refused"))
    assert (refused["data"]["code"], refused["data"]["largest"]["cpu"]) == ("never_fits", 8.0)
    job = await yard.job(resources={"cpu": 4})
    assert job["state"] == "queued"
    (waits,) = (await yard.client("bob").get("/allocations?state=waiting")).json()["items"]
    assert waits["position"] == 2  # bob uses more of the cluster than alice, who uses nothing
    (queue,) = (await yard.get("/queues"))["items"]
    assert [place["workload"] is None for place in queue["waiting"]] == [False, True]
    await other.tell(AllocationCancelled(id="alloc-r2", workload="rep-2"))
    await other.tell(AllocationReleased(id="alloc-r1", workload="rep-1"))
    await other.tell(AllocationReleased(id="alloc-r1", workload="rep-1"))
    await yard.until(job["id"], "running")

    async def freed() -> bool:
        (node,) = (await yard.get("/nodes"))["items"]
        return bool(node["cpu_free"] == 4.0)

    await eventually(freed)
    async with yard.context.kit.store.reading() as connection:
        assert (await allocations.get(connection, "alloc-r1")).state == AllocationState.RELEASED


async def test_what_a_job_gives_back_is_taken_in_the_transaction_that_tells_it_and_not_when_heard(yard: Yard) -> None:
    await yard.owners.datasets.tell(AllocationReleased(id="alloc-att-1", workload="att-1", kind="job"))
    await yard.owners.datasets.tell(AllocationReleased(id="alloc-r1", workload="rep-1", kind="replica"))

    async def noted() -> set[str]:
        async with yard.context.kit.store.reading() as connection:
            return {one.id for one in await allocations.where(connection)}

    assert await eventually(noted) == {"alloc-r1"}
