"""Two instances of train-svc on one database, one broker and one runtime: nothing is done twice or in the way."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import select

from common.db import postgres as postgres_module
from common.db.postgres import Crossed
from common.db.tables import leases
from common.service import Platform
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.support.fake_runtime import FakeRuntime
from tests.support.instances import Servers, instance, servers
from tests.support.platform import House
from tests.train_svc.conftest import Nodes, eventually, gpus
from tests.train_svc.owners import Owners
from train_svc.domain.job import ENDED
from train_svc.ledger import granted_now
from train_svc.service import build
from train_svc.settings import Settings
from train_svc.storage import granted_devices

NAMES = ("train-svc", "train-svc-metrics", "dataset-svc", "algo-svc")


@dataclass
class Two:
    """The instances, and what they share."""

    shared: Servers
    houses: list[House]
    runtime: FakeRuntime
    owners: Owners
    stacks: list[AsyncExitStack]
    open_: Callable[[str], Any]
    outside: Platform | None = None

    def client(self, which: int) -> httpx2.AsyncClient:
        return self.houses[which % len(self.houses)].client("train-svc")

    async def things(self, **algorithm: Any) -> dict[str, str]:
        platform = self.outside
        assert platform is not None
        ids = {
            "dataset_id": await self.owners.dataset(platform),
            "algorithm_id": await self.owners.algorithm(platform, **algorithm),
        }

        async def known() -> bool:
            tried = await self.client(0).post("/jobs", json={"name": "known?", "start": False, **ids})
            return tried.status_code == 201

        await eventually(known)
        return ids

    async def job(self, job_id: str, which: int = 0) -> dict[str, Any]:
        answer = await self.client(which).get(f"/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def is_in(self, job_id: str, state: str) -> bool:
        return bool((await self.job(job_id))["state"] == state)

    async def holder(self, loop: str) -> int:
        """Which instance holds that lease."""
        async with self.houses[0].service("train-svc").kit.store.reading() as connection:
            name = (await connection.execute(select(leases.c.holder).where(leases.c.name == loop))).scalar_one()
        return int(name.rpartition("-")[2])


@pytest.fixture
def crossed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every transaction that PostgreSQL ended because two waited for each other."""
    seen: list[str] = []

    class Counted(Crossed):
        def __init__(self, code: str, detail: str) -> None:
            super().__init__(code, detail)
            seen.append(detail)

    monkeypatch.setattr(postgres_module, "Crossed", Counted)
    return seen


@pytest_asyncio.fixture
async def two(postgres: Postgres, rabbitmq: RabbitMQ, vhost: str, tmp_path: Path) -> AsyncIterator[Two]:
    owners, runtime, nodes = Owners(), FakeRuntime(), Nodes([gpus(4, cpu=64.0)])
    settings = Settings(stream_poll_seconds=0.02)
    clients: dict[str, httpx2.AsyncClient] = {}
    async with servers(postgres, rabbitmq.url(vhost), *NAMES) as shared:
        two = Two(shared, [], runtime, owners, [], lambda name: open_(name, mine))
        mine = [lambda platform: build(platform, settings)]

        def open_(name: str, builds: list[Any]) -> Any:
            return instance(name, tmp_path, shared, builds, clients=clients, runtime=runtime, inventory=nodes)

        theirs = [owners.datasets.build, owners.algorithms.build]
        for name, builds in (("train-0", mine), ("train-1", mine), ("owners", theirs)):
            two.stacks.append(AsyncExitStack())
            two.houses.append(await two.stacks[-1].enter_async_context(open_(name, builds)))
        two.outside = two.houses.pop().platform
        yield two
        for stack in reversed(two.stacks):
            await stack.aclose()


@pytest.mark.row("T13")
async def test_submits_and_stops_at_both_cross_without_a_deadlock_and_without_a_503(
    two: Two, crossed: list[str]
) -> None:
    things, chance = await two.things(training={"devices": ("cpu", "gpu")}), random.Random(3)
    need = {"accelerator": "gpu", "count": 1, "cpu": 0.1}
    at_once = asyncio.Semaphore(8)  # with three stops each more than there are connections, and none waits for long

    async def submit_and_stop(number: int) -> str:
        async with at_once:
            return await submit_then_stop(number)

    async def submit_then_stop(number: int) -> str:
        made = await two.client(number).post("/jobs", json={"name": f"j{number}", "resources": need, **things})
        assert made.status_code == 201, made.text
        job_id = str(made.json()["id"])
        await asyncio.sleep(chance.uniform(0, 0.5))
        if chance.random() < 0.7:
            for workload in list(two.runtime.workloads):
                two.runtime.ends(workload)
        stops = [two.client(which).post(f"/jobs/{job_id}/stop") for which in range(3)]
        for stopped in await asyncio.gather(*stops):
            assert stopped.status_code in (202, 409), stopped.text
        return job_id

    async def end_some() -> None:
        while True:
            await asyncio.sleep(0.01)
            for workload in list(two.runtime.started):
                if chance.random() < 0.2 and two.runtime.workloads.get(workload) is not None:
                    two.runtime.ends(workload)

    async def check_devices() -> None:
        while True:
            async with two.houses[0].service("train-svc").kit.store.reading() as connection:
                held = [d for a in await granted_now(connection) for p in a.placements for d in p.devices]
            assert max(Counter(held).values(), default=0) <= 1
            await asyncio.sleep(0.05)

    watching = [asyncio.create_task(end_some()), asyncio.create_task(check_devices())]
    jobs = await asyncio.gather(*(submit_and_stop(number) for number in range(40)))

    async def over() -> bool:
        return all([(await two.job(job, n))["state"] in ENDED for n, job in enumerate(jobs)])

    await eventually(over)

    async def freed() -> bool:
        async with two.houses[1].service("train-svc").kit.store.reading() as connection:
            return not list(await connection.execute(select(granted_devices)))

    await eventually(freed)
    for task in watching:
        assert not task.done(), task
        task.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    assert len(set(two.runtime.started)) == len(two.runtime.started)
    assert crossed == []


async def test_when_the_one_that_works_ends_the_other_goes_on_with_what_runs(two: Two) -> None:
    things = await two.things()
    made = await two.client(1).post("/jobs", json={"name": "long", **things})
    job_id = made.json()["id"]

    async def runs() -> bool:
        return bool((await two.job(job_id, 1))["state"] == "running")

    await eventually(runs)
    holder = await two.holder("workloads")
    await two.stacks.pop(holder).aclose()
    two.houses.pop(holder)
    two.runtime.ends(two.runtime.started[-1])

    async def ended() -> bool:
        return bool((await two.job(job_id))["state"] == "succeeded")

    await eventually(ended)
    assert len(two.runtime.started) == 1


@pytest.mark.row("T8")
async def test_points_posted_at_one_are_read_at_the_other_at_once(two: Two) -> None:
    made = await two.client(0).post("/jobs", json={"name": "curves", **await two.things()})
    job_id = made.json()["id"]
    for step in range(6):
        body = [{"step": step, "loss": 1.0 / (step + 1)}]
        posted = await two.client(step).post(f"/jobs/{job_id}/metrics", json=body)
        assert posted.status_code == 200, posted.text
        read = await two.client(step + 1).get(f"/jobs/{job_id}/metrics")
        assert read.json()["series"]["loss"][-1] == [step, 1.0 / (step + 1)]


async def test_one_key_at_both_at_once_makes_one_job(two: Two) -> None:
    body = {"name": "once", **await two.things()}
    for n in range(5):
        key = {"Idempotency-Key": f"key-{n}"}
        answers = await asyncio.gather(*(two.client(k).post("/jobs", json=body, headers=key) for k in range(4)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.json()["id"] for answer in answers}) == 1


async def test_both_tell_how_preparing_stands_and_either_can_stop_it(two: Two) -> None:
    """Its dataset's owner is away, so it is being prepared for long; only one of them does it."""
    things = await two.things()
    two.owners.datasets.down = True
    made = await two.client(0).post("/jobs", json={"name": "slow", **things})
    job_id = made.json()["id"]
    for which in range(2):

        async def told(which: int = which) -> bool:
            job = await two.job(job_id, which)
            return job["state"] == "preparing" and "away" in job["note"]

        await eventually(told)
    stopped = await two.client(1 - await two.holder("workloads")).post(f"/jobs/{job_id}/stop")
    assert stopped.status_code == 202
    two.owners.datasets.down = False
    await eventually(partial(two.is_in, job_id, "stopped"))
    assert two.runtime.started == []


@pytest.mark.parametrize("hours", [-1, 1])
async def test_an_instance_whose_clock_is_wrong_is_refused_by_nobody(
    two: Two, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts with a wrong clock, which is then set right, and wrong again: its tokens follow the database's."""
    things = await two.things()
    for stack in two.stacks[:2]:
        await stack.aclose()
    del two.stacks[:2], two.houses[:]
    right = time.time

    def wrong() -> float:
        return right() + hours * 3600

    monkeypatch.setattr("common.web.identity.time.time", wrong)
    two.stacks.append(AsyncExitStack())
    two.houses.append(await two.stacks[-1].enter_async_context(two.open_("train-2")))
    two.houses[0].gateway.time.set(right())  # of those who ask, whose clock is right
    for step, clock in enumerate((wrong, right, wrong)):
        monkeypatch.setattr("common.web.identity.time.time", clock)
        made = await two.client(0).post("/jobs", json={"name": f"step {step}", **things})
        assert made.status_code == 201, made.text
        job_id = made.json()["id"]
        await eventually(partial(two.is_in, job_id, "running"))
        assert two.owners.datasets.holds, "taken with a token of its own"
        two.runtime.ends(two.runtime.started[-1])
        await eventually(partial(two.is_in, job_id, "succeeded"))
