"""Queues, classes, preemption and the reasons why something waits, through the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common.contracts.allocation import AllocationConfirmed, AllocationReleased, AllocationRequested
from common.contracts.shared import Resources
from common.web.identity import Principal
from tests.train_svc.conftest import Yard, eventually, gpus, open_yard
from train_svc.domain.queues import usable_queues
from train_svc.domain.scheduling.values import Queue
from train_svc.silent import look_after

GPU = {"accelerator": "gpu", "count": 1, "cpu": 1}


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    """A node with four GPUs."""
    async with open_yard(tmp_path, shown=[gpus(4)], min_run_seconds=0, silent_seconds=3600) as made:
        yield made


@pytest.fixture
async def things(yard: Yard) -> dict[str, str]:
    return await yard.things(training={"devices": ("cpu", "gpu")})


async def put(yard: Yard, name: str, status: int = 200, **body: Any) -> Any:
    answer = await yard.house.client("train-svc", "admin").put(f"/queues/{name}", json={"group": name, **body})
    assert answer.status_code == status, answer.text
    return answer.json()


def replica(number: int, owner: str = "bob", **fields: Any) -> AllocationRequested:
    asked: dict[str, Any] = {"resources": Resources(accelerator="gpu", count=1, cpu=1), **fields}
    return AllocationRequested(id=f"alloc-r{number}", workload=f"rep-{number}", kind="replica", owner=owner, **asked)


async def granted(yard: Yard, count: int) -> None:
    """Wait until so many hold what they asked for: what comes next is planned beside them."""

    async def there() -> bool:
        return len(await yard.events("allocation.granted")) == count

    await eventually(there)


@pytest.mark.row("T19")
async def test_a_queue_is_made_looked_at_and_removed(yard: Yard, things: dict[str, str]) -> None:
    made = await put(yard, "vision", guaranteed={"gpu": 1, "cpu": 1.5}, maximum={"gpu": 2}, cohort="all", weight=2)
    assert (made["guaranteed"], made["maximum"], made["weight"]) == ({"gpu": 1, "cpu": 1.5}, {"gpu": 2}, 2.0)
    assert [queue["id"] for queue in (await yard.get("/queues"))["items"]] == ["default", "vision"]
    refused = await put(yard, "vision", 422, guaranteed={"gpu": -1}, maximum={"gpu": 0.5}, borrowing={"gpu": 1})
    assert {fault["where"] for fault in refused["faults"]} == {"guaranteed.gpu", "maximum.gpu", "borrowing"}
    job = await yard.job(as_="admin", **things, queue="vision", resources=GPU)
    assert job["queue"] == "vision"
    assert (await yard.get("/queues/vision"))["used"]["gpu"] == 1
    admin = yard.house.client("train-svc", "admin")
    assert (await admin.delete("/queues/vision")).json()["code"] == "queue_in_use"
    await admin.post(f"/jobs/{job['id']}/stop")

    async def removed() -> bool:
        return (await admin.delete("/queues/vision")).status_code == 204

    await eventually(removed)
    assert (await admin.delete("/queues/vision")).status_code == 404
    assert (await yard.get("/queues/vision", 404))["code"] == "queue_not_found"


@pytest.mark.row("T19")
async def test_a_bad_queue_or_class_is_told_with_those_there_are(yard: Yard, things: dict[str, str]) -> None:
    await put(yard, "vision")
    answer = await yard.alice.post(
        "/jobs", json={"name": "x", **things, "queue": "vision", "priority_class": "urgent", "resources": GPU}
    )
    reasons = {fault["where"]: fault["reason"] for fault in answer.json()["faults"]}
    assert reasons["queue"] == "There is no queue 'vision' for you; there are default."
    assert "there are low (-100), normal (0), high (100)" in reasons["priority_class"]


@pytest.mark.row("T19")
async def test_what_a_quota_never_allows_is_refused_with_the_largest(yard: Yard, things: dict[str, str]) -> None:
    await put(yard, "default", maximum={"gpu": 2})
    asked = {"name": "x", **things, "resources": {**GPU, "count": 3}}
    refused = (await yard.alice.post("/jobs", json=asked)).json()
    assert (refused["code"], refused["largest"]["count"]) == ("never_fits", 2)
    assert "the queue default may use 2 at most" in refused["detail"]


@pytest.mark.row("T19")
async def test_what_one_user_may_use_of_a_queue_is_bounded(yard: Yard, things: dict[str, str]) -> None:
    made = await put(yard, "default", per_user={"gpu": 2, "cpu": 6})
    assert made["per_user"] == {"gpu": 2, "cpu": 6}
    first = await yard.job(**things, resources={**GPU, "count": 2})
    waits = await yard.job(**things, resources=GPU)
    others = await yard.job("admin", **things, resources=GPU)
    await yard.running(first["id"])
    assert (await yard.client("admin").get(f"/jobs/{others['id']}")).json()["state"] in ("preparing", "running")
    told = (await yard.get(f"/jobs/{waits['id']}"))["waiting"]
    assert "The owner's part of the queue default may use 2 GPUs in all; 0 GPUs is left" in told["sentences"][1]
    asked = {"name": "x", **things, "resources": {**GPU, "count": 3}}
    refused = (await yard.alice.post("/jobs", json=asked)).json()
    assert (refused["code"], refused["largest"]["count"]) == ("never_fits", 2)
    bad = await put(yard, "default", 422, per_user={"gpu": 0.5})
    assert [fault["where"] for fault in bad["faults"]] == ["per_user.gpu"]


@pytest.mark.row("T19")
async def test_why_a_job_waits_names_only_what_its_owner_may_see(yard: Yard, things: dict[str, str]) -> None:
    other = yard.owners.datasets
    await other.tell(replica(1, resources=Resources(accelerator="gpu", count=3, cpu=1)))
    await granted(yard, 1)
    mine = await yard.job(**things, resources=GPU)
    await granted(yard, 2)
    waits = await yard.job(**things, resources={**GPU, "count": 4})
    told = (await yard.get(f"/jobs/{waits['id']}"))["waiting"]
    assert (told["position"], told["wanted"], told["fitting"], told["other_holders"]) == (1, 1, 0, 1)
    assert told["lacks"] == [{"node": "one", "lacks": {"gpu": 4}}]
    attempt = (await yard.get(f"/jobs/{mine['id']}/attempts"))["items"][-1]["id"]
    assert told["holders"] == [f"alloc-{attempt}"]
    said = " ".join(told["sentences"])
    assert f"For it to begin, alloc-{attempt} and 1 workload of others would have to end." in said
    assert "one lacks 4 GPUs." in said
    allocation = (await yard.get("/allocations?state=waiting"))["items"][0]
    assert (await yard.get(f"/allocations/{allocation['id']}"))["waiting"]["holders"] == told["holders"]


@pytest.mark.row("T19")
async def test_more_urgent_work_ends_the_newest_and_gets_what_it_leaves(yard: Yard, things: dict[str, str]) -> None:
    other = yard.owners.datasets
    for number in range(4):
        await other.tell(replica(number, preemptible=True, priority=-5))
    await granted(yard, 4)
    job = await yard.job(**things, resources=GPU, priority_class="high")
    (told,) = await eventually(lambda: yard.events("allocation.preempting"))
    assert (told["data"]["workload"], told["data"]["grace"]) == ("rep-3", 30.0)
    assert told["data"]["for_workload"] is None
    await other.tell(replica(9, preemptible=True, priority=50, owner="carol"))
    await yard.quiet()
    yard.context.ledger.memory.mark = None  # as after a restart: what is kept is in the database
    assert (await yard.get(f"/jobs/{job['id']}"))["waiting"]["position"] == 0
    await other.tell(AllocationReleased(id="alloc-r3", workload="rep-3"))
    await yard.until(job["id"], "running")
    assert (await yard.client("carol").get("/allocations/alloc-r9")).json()["state"] == "waiting"


@pytest.mark.row("T19")
async def test_a_replica_too_has_its_time_before_it_is_ended(yard: Yard, things: dict[str, str]) -> None:
    """Its service says nothing of a least time: the platform's holds for it as well."""
    yard.context.settings.min_run_seconds = 3600
    for number in range(4):
        await yard.owners.datasets.tell(replica(number, preemptible=True))
    await granted(yard, 4)
    await yard.job(**things, resources=GPU, priority=500)
    assert await yard.events("allocation.preempting") == []


@pytest.mark.row("T19")
async def test_silence_alone_takes_nothing_away(yard: Yard) -> None:
    other, context = yard.owners.datasets, yard.context
    await other.tell(replica(1))
    await eventually(lambda: yard.events("allocation.granted"))
    assert other.service is not None
    async with other.service.kit.store.work() as uow:
        uow.emit(AllocationConfirmed(holder="serving-svc", ids=("alloc-r1",)), subject="serving-svc")

    async def confirmed() -> Any:
        return (await yard.client("bob").get("/allocations/alloc-r1")).json()["confirmed_at"]

    assert await eventually(confirmed)
    assert await look_after(context, None) == 0
    context.settings.silent_seconds = 1e-6
    assert (await yard.client("bob").get("/allocations/alloc-r1")).json()["silent"] is True
    assert await look_after(context, None) == 1  # the runtime knows nothing of it
    (told,) = await yard.events("allocation.revoked")
    assert "its workload is gone" in told["data"]["reason"]
    assert (await yard.client("bob").get("/allocations/alloc-r1")).json()["state"] == "released"


def test_a_groups_queue_comes_first() -> None:
    queues = [Queue("default", "default"), Queue("a", "red"), Queue("b", "blue")]
    who = Principal("alice", groups=("blue", "red"))
    assert usable_queues(queues, who.groups) == ("b", "a", "default")
    assert usable_queues(queues, (), everyone=True) == ("default", "a", "b")
