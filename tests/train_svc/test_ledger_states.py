"""The ledger against a model: whatever is asked, ended, lost, drained or forgotten, in any order.

After each step: no device twice, counters and rows as what is held, gangs whole, quotas kept, and the state in memory
is the one that planning from scratch would begin with.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from common.contracts.allocation import AllocationRequested
from common.contracts.shared import Resources
from common.db.database import Database
from common.db.migrate import upgrade
from common.db.uow import Store
from common.kernel.clock import ManualClock
from tests.train_svc.conftest import Nodes, gpus
from train_svc import quotas
from train_svc.domain.allocation import AllocationState
from train_svc.domain.node import KnownNode, Mark
from train_svc.domain.queues import QueueRequest
from train_svc.domain.scheduling.values import Policy, Snapshot
from train_svc.ledger import Gone, Ledger, granted_now, promised
from train_svc.ledger.memory import snapshot_of
from train_svc.ledger.reading import open_ones, queues_of
from train_svc.service import MIGRATIONS
from train_svc.storage import granted_devices, node_usage

NODES = (gpus(3, "a", cpu=4), gpus(2, "b", cpu=4), gpus(2, "c", cpu=2))
QUEUES = {
    "red": QueueRequest("red", {"gpu": 2}, {"gpu": 4}, {"gpu": 2}, "all"),
    "blue": QueueRequest("blue", {"gpu": 3}, {"cpu": 6}, None, "all"),
}
ASKS = st.builds(
    Resources,
    cpu=st.sampled_from([0.5, 1.0, 3.0]),
    accelerator=st.just("gpu"),
    count=st.integers(0, 2),
    nodes=st.sampled_from([1, 1, 1, 2]),
)


class Ledgers(RuleBasedStateMachine):
    """One database, a ledger over it that may be replaced by a new one, and the model beside it."""

    steps: ClassVar[int] = 0
    """How many there were in all, over every run."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite+aiosqlite:///{Path(self.folder.name) / 'ledger.sqlite3'}"
        self.clock = ManualClock()
        self.store = Store(Database(url, durable=False), "train-svc", self.clock)
        self.known = {node.name: KnownNode(node) for node in NODES}
        self.asked: dict[str, AllocationRequested] = {}
        self.over: set[str] = set()
        self.run(upgrade(self.store.database, MIGRATIONS))
        self.anew("first")
        for name, queue in QUEUES.items():
            self.do(lambda uow, n=name, q=queue: quotas.put(self.ledger, uow, n, q))

    def run(self, doing: Any) -> Any:
        return self.loop.run_until_complete(doing)

    def do(self, work: Any) -> Any:
        return self.run(self.store.do(work))

    def anew(self, holder: str) -> None:
        self.ledger = Ledger(Nodes([]), 1.0, policy=Policy(grace=5.0, ageing=60.0, starving=600.0), holder=holder)
        self.ledger.note(self.known.values())

    @rule(
        number=st.integers(0, 11),
        resources=ASKS,
        queue=st.sampled_from(["default", "red", "blue"]),
        priority=st.sampled_from([0, 0, 5]),
        preemptible=st.booleans(),
        limit=st.sampled_from([None, 30.0]),
        apart=st.sampled_from([None, "service"]),
    )
    def ask(self, number: int, resources: Resources, queue: str, priority: int, **more: Any) -> None:
        name = f"alloc-{number:02}"
        ask = AllocationRequested(
            id=name,
            workload=f"w-{name}",
            kind="replica",
            owner=f"user-{number % 3}",
            resources=resources if resources.count else resources.model_copy(update={"accelerator": None}),
            queue=queue,
            priority=priority,
            preemptible=more["preemptible"],
            time_limit=more["limit"],
            anti_affinity=more["apart"],
        )
        taken = self.do(lambda uow: self.ledger.submit(uow, ask))
        assert not (name in self.over and not taken.ended)
        if taken.state == AllocationState.REFUSED:
            self.over.add(name)

    @rule(number=st.integers(0, 11))
    def free(self, number: int) -> None:
        name = f"alloc-{number:02}"
        self.do(lambda uow: self.ledger.free(uow, name, f"w-{name}", "replica", "user"))
        self.over.add(name)

    @rule(told=st.lists(st.tuples(st.integers(0, 11), st.booleans()), min_size=2, max_size=6), resources=ASKS)
    def a_batch_is_heard(self, told: list[tuple[int, bool]], resources: Resources) -> None:
        async def hear(uow: Any) -> None:
            for number, asks in told:
                name = f"alloc-{number:02}"
                about: dict[str, Any] = {"id": name, "workload": f"w-{name}", "kind": "replica", "owner": "user"}
                ask = AllocationRequested(**about, resources=resources, queue="red", preemptible=True)
                await self.ledger.hear(uow, ask if asks else Gone(**about))

        self.do(hear)
        self.over |= {f"alloc-{number:02}" for number, asks in told if not asks}

    @rule(seconds=st.sampled_from([1.0, 40.0, 700.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.do(self.ledger.fill)

    @rule(name=st.sampled_from("abc"))
    def a_node_is_cordoned_or_not(self, name: str) -> None:
        mark = Mark.OPEN if self.known[name].mark is Mark.CORDONED else Mark.CORDONED
        self.known[name] = replace(self.known[name], mark=mark)
        self.ledger.note(self.known.values())
        self.do(self.ledger.fill)

    @rule(name=st.sampled_from("abc"))
    def a_node_is_drained(self, name: str) -> None:
        there = self.on(name)
        self.do(lambda uow: self.ledger.preempt(uow, there, "drained", 5.0))

    @precondition(lambda self: not self.known["b"].lost)
    @rule()
    def a_node_is_lost(self) -> None:
        self.known["b"] = replace(self.known["b"], lost=True, gone=self.clock.now() - timedelta(minutes=9))
        self.ledger.note(self.known.values())
        there = self.on("b")
        self.do(lambda uow: self.ledger.revoke(uow, there, "lost"))

    @precondition(lambda self: self.known["b"].lost)
    @rule(fenced=st.booleans())
    def it_comes_back_or_is_fenced(self, fenced: bool) -> None:
        if fenced:
            self.do(lambda uow: self.ledger.fence(uow, "b"))
        else:
            self.known["b"] = replace(self.known["b"], lost=False, gone=None)
            self.ledger.note(self.known.values())
            self.do(self.ledger.fill)

    @rule()
    def the_instance_is_another(self) -> None:
        self.anew("other" if self.ledger.holder == "first" else "first")
        self.do(self.ledger.fill)

    @rule(number=st.integers(0, 11))
    def a_transaction_is_undone(self, number: int) -> None:
        async def fail(uow: Any) -> None:
            await self.ledger.free(uow, f"alloc-{number:02}", "w", "replica", "user")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            self.do(fail)

    def on(self, name: str) -> list[str]:
        return [one.id for one in self.run(self.held()) if any(p.node == name for p in one.placements)]

    async def held(self) -> list[Any]:
        async with self.store.reading() as connection:
            return await granted_now(connection)

    @invariant()
    def everything_holds(self) -> None:
        if hasattr(self, "ledger"):
            Ledgers.steps += 1
            self.run(self.check())

    async def check(self) -> None:
        async with self.store.reading() as connection:
            held = await granted_now(connection)
            found, queues = await open_ones(connection), await queues_of(connection)
            devices = [tuple(row) for row in await connection.execute(select(granted_devices))]
            used = {row.node: (row.cpu, row.memory) for row in await connection.execute(select(node_usage))}
            state = await self.ledger.seen(connection)
        told = sorted((p.node, d, one.id) for one in held for p in one.placements for d in p.devices)
        assert sorted(devices) == told
        assert max(Counter((node, device) for node, device, _ in told).values(), default=1) == 1
        cpu, memory = promised(held)
        assert {node: both for node, both in used.items() if any(both)} == {n: (cpu[n], memory[n]) for n in cpu}
        for one in held:
            assert len({placement.node for placement in one.placements}) == one.resources.nodes
            assert all(len(placement.devices) == one.resources.count for placement in one.placements)
        by_queue = Counter[str]()
        for one in held:
            by_queue[one.queue] += one.resources.count * one.resources.nodes
        assert by_queue["red"] <= 4
        assert by_queue["red"] + by_queue["blue"] <= 5
        scratch = snapshot_of(self.ledger.policy, self.ledger.machines.planned, queues, found)
        assert _told(state.snapshot()) == _told(scratch)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.database.close())
            self.loop.close()
            self.folder.cleanup()


def _told(snapshot: Snapshot) -> tuple[object, ...]:
    """What of a snapshot decides: not in which order it was told, nor what was reserved, which each plan does anew."""
    running = {one.request.id: (one.placements, one.ending) for one in snapshot.running}
    waiting = {one.id: one for one in snapshot.waiting}
    claims = {claim.request: (claim.victims, claim.takes) for claim in snapshot.claims}
    return running, waiting, claims, {queue.name: queue for queue in snapshot.queues}


TestLedgers = pytest.mark.row("T19")(Ledgers.TestCase)
TestLedgers.settings = settings(max_examples=25, stateful_step_count=25)


@pytest.mark.faults
@pytest.mark.row("T19")
def test_the_ledger_holds_for_thousands_of_steps() -> None:
    wanted = Ledgers.steps + int(os.environ.get("LEDGER_STEPS", "10000"))
    long = settings(
        max_examples=20,
        stateful_step_count=100,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    while Ledgers.steps < wanted:
        run_state_machine_as_test(Ledgers, settings=long)
    print(f"{Ledgers.steps} steps")


def test_who_is_admitted_and_told_to_end_in_one_plan_holds_its_devices_until_it_is_gone() -> None:
    """Found by the long run: its devices were not written down, and were taken back all the same."""
    state = Ledgers()
    state.begin()
    state.a_node_is_lost()
    state.a_node_is_cordoned_or_not(name="a")
    one = Resources(cpu=0.5, accelerator="gpu", count=1, nodes=1)
    state.ask(11, one, "default", 0, preemptible=False, limit=None, apart=None)
    two = Resources(cpu=0.5, accelerator="gpu", count=2, nodes=1)
    state.a_batch_is_heard([(8, True), (0, False), (0, False), (5, True), (3, False)], two)
    state.a_node_is_cordoned_or_not(name="a")
    state.time_goes_by(seconds=700.0)
    more = Resources(cpu=3.0, accelerator="gpu", count=2, nodes=1)
    state.ask(10, more, "red", 5, preemptible=True, limit=30.0, apart=None)
    state.a_batch_is_heard([(5, False), (5, False)], two)
    state.everything_holds()
    state.teardown()
