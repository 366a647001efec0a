"""What gives capacity back is written first, with whatever waits beside it; one that can't be hinders nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from common.contracts.job import EndReason
from common.db.leases import LeaseLost
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict
from common.workloads import storage
from common.workloads.workload import Outcome, Phase, Workload
from common.workloads.writing import LATEST_SECONDS, Way, Writing
from tests.common.workloads.world import World


class Table:
    """Ways on their way into the database of a world, in transactions that are noted; `gate` holds the first back."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.gate = asyncio.Event()
        self.begun = asyncio.Event()
        self.transactions: list[list[str]] = []
        self.lost = False
        self.writing = Writing(world.store, self.guarded, self.write)

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[UnitOfWork]:
        async with self.world.store.work() as uow:
            self.begun.set()
            await self.gate.wait()
            if self.lost:
                raise LeaseLost("workloads")
            self.transactions.append([])
            yield uow

    async def write(self, uow: UnitOfWork, way: Way) -> Workload:
        self.transactions[-1].append(way[-1].id)
        return await storage.save(uow.connection, way[-1], uow.clock.now())

    async def stored(self, workload_id: str, phase: Phase) -> Workload:
        """One in the database, in that phase."""
        await self.world.ask(workload_id)
        known = replace(await self.world.find(workload_id), phase=phase, handle={"workload": workload_id})
        async with self.world.store.work() as uow:
            return await storage.save(uow.connection, known, uow.clock.now())

    def sent(self, before: Workload, after: Workload) -> asyncio.Task[Workload]:
        return asyncio.create_task(self.writing.write([before, after]))


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    world = await World.open(tmp_path)
    yield Table(world)
    await world.close()


def exited(one: Workload) -> Workload:
    return one.moved("exit", outcome=Outcome(EndReason.COMPLETED))


def released(one: Workload) -> Workload:
    return one.moved("release")


async def test_what_gives_back_goes_first_and_together_and_what_can_wait_follows_together(table: Table) -> None:
    ended = [await table.stored(f"att-{number}", Phase.RELEASING) for number in range(3)]
    running = [await table.stored(f"att-1{number}", Phase.RUNNING) for number in range(3)]
    tasks = [table.sent(one, released(one)) for one in ended] + [table.sent(one, exited(one)) for one in running]
    await table.begun.wait()
    await asyncio.sleep(0)
    table.gate.set()
    phases = [(await task).phase for task in tasks]
    assert phases == [Phase.ENDED] * 3 + [Phase.COLLECTING] * 3
    assert table.transactions == [[one.id for one in running], [one.id for one in ended]]
    assert {(await table.world.find(one.id)).phase for one in running} == {Phase.COLLECTING}


async def test_what_can_wait_does_not_wait_for_ever(table: Table) -> None:
    late = await table.stored("att-0", Phase.RELEASING)
    running = [await table.stored(f"att-{number}", Phase.RUNNING) for number in range(1, 3)]
    tasks = [table.sent(late, released(late))]
    await table.begun.wait()
    table.world.clock.advance(LATEST_SECONDS)
    tasks += [table.sent(one, exited(one)) for one in running]
    await asyncio.sleep(0)
    table.gate.set()
    await asyncio.gather(*tasks)
    assert table.transactions == [[*(one.id for one in running), late.id]]


async def test_one_that_was_changed_meanwhile_hinders_nobody_else(table: Table) -> None:
    good, stale = [await table.stored(f"att-{number}", Phase.RUNNING) for number in range(2)]
    async with table.world.store.work() as uow:
        await storage.save(uow.connection, stale, uow.clock.now())
    tasks = [table.sent(one, exited(one)) for one in (good, stale)]
    table.gate.set()
    with pytest.raises(Conflict):
        await tasks[1]
    assert (await tasks[0]).phase == Phase.COLLECTING
    assert (await table.world.find(good.id)).phase == Phase.COLLECTING
    assert table.transactions == [[good.id, stale.id], [good.id], [stale.id]]


async def test_who_may_not_write_any_more_is_told_so(table: Table) -> None:
    one, other = [await table.stored(f"att-{number}", Phase.RUNNING) for number in range(2)]
    tasks = [table.sent(one, exited(one)), table.sent(other, exited(other))]
    table.lost = True
    table.gate.set()
    for task in tasks:
        with pytest.raises(LeaseLost):
            await task
    assert (await table.world.find(one.id)).phase == Phase.RUNNING


async def test_what_is_taken_back_in_time_is_not_written(table: Table) -> None:
    one, other = [await table.stored(f"att-{number}", Phase.RELEASING) for number in range(2)]
    heard = asyncio.Event()
    waiting = asyncio.create_task(table.writing.write_unless(heard, [one, released(one)]))
    task = table.sent(other, released(other))
    await table.begun.wait()
    task.cancel()
    heard.set()
    assert await waiting is None
    table.gate.set()
    await asyncio.gather(task, *table.writing.under_way, return_exceptions=True)
    assert {(await table.world.find(known)).phase for known in ("att-0", "att-1")} == {Phase.RELEASING}


async def test_what_is_heard_of_only_after_its_turn_was_written(table: Table) -> None:
    one = await table.stored("att-1", Phase.RELEASING)
    table.gate.set()
    saved = await table.writing.write_unless(asyncio.Event(), [one, released(one)])
    assert saved is not None
    assert saved.phase == (await table.world.find("att-1")).phase == Phase.ENDED


async def test_when_it_is_ended_in_its_midst_those_who_wait_end_too(table: Table) -> None:
    one = await table.stored("att-1", Phase.RUNNING)
    task = table.sent(one, exited(one))
    await table.begun.wait()
    for writer in table.writing.under_way:
        writer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await table.world.find(one.id)).phase == Phase.RUNNING
