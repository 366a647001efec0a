"""A job that has to give way: told, given its grace, back in its place, and resumed as a new attempt (row T19)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.contracts.allocation import AllocationRequested
from common.contracts.shared import Placement, Resources
from common.ports.runtime import LaunchSpec, WorkloadState
from tests.support.fake_runtime import FakeRuntime, unavailable
from tests.train_svc.conftest import Yard, eventually, gpus, open_yard
from train_svc.domain.allocation import Allocation
from train_svc.overdue import take_further
from train_svc.silent import states_of

pytestmark = pytest.mark.row("T19")

NEVER = 1e6
"""Seconds: whoever is overdue is taken further by the tests alone."""
NOW = datetime(2026, 11, 21, tzinfo=UTC)
ONE_GPU: dict[str, Any] = {"resources": {"accelerator": "gpu", "count": 1}}


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with open_yard(
        tmp_path, shown=[gpus(1)], min_run_seconds=0, preemption_grace_seconds=30, overdue_seconds=NEVER
    ) as yard:
        yield yard


async def displaced(yard: Yard, *, obeys: bool = False, asker: str = "alice", **body: Any) -> tuple[str, str, str]:
    """A job that runs and is told to give way to a more urgent one: its id, its attempt's, the other's."""
    yard.runtime.obeys_stop = obeys
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    job = (await yard.job(**things, **ONE_GPU, **body))["id"]
    attempt = await yard.running(job)
    urgent = (await yard.job(asker, **things, **ONE_GPU, priority=500))["id"]

    async def told() -> bool:
        return bool(yard.runtime.workloads[attempt].stops) if attempt in yard.runtime.workloads else True

    await eventually(told)
    return job, attempt, urgent


async def attempts(yard: Yard, job: str) -> list[dict[str, Any]]:
    return list((await yard.get(f"/jobs/{job}/attempts"))["items"])


async def test_it_is_told_gives_way_and_resumes_in_its_place_with_its_checkpoints(yard: Yard) -> None:
    job, first, urgent = await displaced(yard, priority=7)
    one = yard.runtime.workloads[first]
    assert (one.stops[0], one.notices[0]) == (30, "preempted")
    assert (await yard.get(f"/jobs/{job}"))["state"] == "running", "it has its grace"
    ckpt = [mount for mount in one.spec.mounts if mount.name == "ckpt"]
    yard.runtime.ends(first, 143, "stopped")
    await yard.until(urgent, "running")
    shown = await yard.until(job, "queued")
    assert (shown["attempt"], shown["reason"], shown["started_at"]) == (2, None, None)
    before, after = await attempts(yard, job)
    assert (before["reason"], before["exit_code"], after["phase"]) == ("preempted", 143, "waiting")
    asked = [event["data"] for event in await yard.events("allocation.requested") if "job" in event["data"]["kind"]]
    assert [(ask["since"], ask["priority"]) for ask in asked if ask["workload"] in (first, after["id"])] == [
        (asked[0]["since"], 7)
    ] * 2, "the same place and the same priority: nobody is preempted in a circle"
    types = [event["type"] for event in await yard.events() if event["subject"] == job]
    assert types == ["job.queued", "job.started", "job.preempted", "job.queued"]

    yard.runtime.ends((await attempts(yard, urgent))[0]["id"])
    second = await yard.running(job)
    assert [mount for mount in yard.runtime.workloads[second].spec.mounts if mount.name == "ckpt"] == ckpt
    yard.runtime.says(second, model=b"weights")
    yard.runtime.ends(second)
    assert (await yard.until(job, "succeeded"))["attempt"] == 2


async def test_its_owner_reads_since_when_until_when_and_for_whom_it_gives_way(yard: Yard) -> None:
    job, first, urgent = await displaced(yard)
    told = (await yard.get(f"/jobs/{job}"))["giving_way"]
    grace = datetime.fromisoformat(told["until"]) - datetime.fromisoformat(told["since"])
    assert (grace.total_seconds(), told["begins"], told["overdue"]) == (30, urgent, False)
    said = " ".join(told["sentences"])
    assert f"It ends so that {urgent} can begin." in said
    assert "its place in the queue default" in said
    assert (await yard.get(f"/allocations/alloc-{first}"))["giving_way"] == told
    assert (await yard.get(f"/jobs/{urgent}"))["giving_way"] is None
    await yard.alice.post(f"/jobs/{job}/stop")
    assert (await yard.get(f"/jobs/{job}"))["giving_way"] is None, "it ends for good"


async def test_what_begins_of_somebody_else_is_not_told(yard: Yard) -> None:
    job, _, _ = await displaced(yard, asker="admin")
    told = (await yard.get(f"/jobs/{job}"))["giving_way"]
    assert (told["begins"], "more urgent work of others" in told["sentences"][1]) == (None, True)


async def test_who_saves_a_checkpoint_and_ends_with_0_has_not_done_its_work(yard: Yard) -> None:
    """Else half a training would pass for a whole one."""
    job, first, urgent = await displaced(yard)
    yard.runtime.ends(first, 0, "stopped")
    assert (await yard.until(job, "succeeded", "queued"))["attempt"] == 2
    await yard.until(urgent, "running")


async def test_one_that_is_still_prepared_simply_goes_back(yard: Yard) -> None:
    yard.runtime.refusing = unavailable()
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    job = (await yard.job(**things, **ONE_GPU))["id"]
    await yard.until(job, "preparing")
    urgent = (await yard.job(**things, **ONE_GPU, priority=500))["id"]
    await yard.until(urgent, "preparing")
    shown = await yard.until(job, "queued")
    assert (shown["attempt"], yard.runtime.started) == (2, [])
    before = (await attempts(yard, job))[0]
    assert before["reason"] == "preempted"
    assert "priority 500" in before["detail"], "who asks is told why"


async def test_a_person_who_stops_it_in_the_grace_wins(yard: Yard) -> None:
    job, first, urgent = await displaced(yard)
    assert (await yard.alice.post(f"/jobs/{job}/stop")).json()["state"] == "stopping"
    yard.runtime.ends(first, 143, "stopped")
    shown = await yard.until(job, "stopped", "queued")
    assert (shown["state"], shown["attempt"]) == ("stopped", 1)
    await yard.until(urgent, "running")


async def test_a_lost_one_that_was_to_give_way_is_no_failure(yard: Yard) -> None:
    job, first, _ = await displaced(yard)
    yard.runtime.ends(first, None, "lost")
    assert (await yard.until(job, "queued", "failed"))["attempt"] == 2


async def test_one_that_says_no_is_left_alone(yard: Yard) -> None:
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    job = (await yard.job(**things, **ONE_GPU, preemptible=False))["id"]
    attempt = await yard.running(job)
    urgent = (await yard.job(**things, **ONE_GPU, priority=500))["id"]
    await yard.quiet()
    assert (await yard.get(f"/jobs/{urgent}"))["state"] == "queued"
    assert yard.runtime.workloads[attempt].stops == []


async def test_a_kill_in_the_grace_changes_nothing(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    settings: dict[str, Any] = {"shown": [gpus(1)], "min_run_seconds": 0, "preemption_grace_seconds": 30}
    async with open_yard(tmp_path, runtime, **settings) as yard:
        job, first, urgent = await displaced(yard)
        owners = yard.owners
    runtime.forget_listeners()
    runtime.ends(first, 143, "stopped")
    async with open_yard(tmp_path, runtime, owners, **settings) as yard:
        assert (await yard.until(job, "queued", "failed"))["attempt"] == 2
        await yard.until(urgent, "running")
        assert runtime.started.count(first) == 1


async def test_where_it_failed_by_the_machine_is_avoided_next_time(yard: Yard) -> None:
    job = (await yard.job())["id"]
    attempt = await yard.running(job)
    yard.runtime.ends(attempt, None, "lost")
    await yard.until(job, "failed")
    await yard.quiet()
    assert (await yard.alice.post(f"/jobs/{job}/start")).status_code == 202
    asked = [event["data"] for event in await yard.events("allocation.requested")]
    assert [ask["avoid"] for ask in asked] == [[], ["one"]]


async def overdue(yard: Yard) -> None:
    """The grace, and the patience after it, are over: one more step."""
    yard.context.settings.overdue_seconds = -3600
    await take_further(yard.context, None)
    await yard.quiet()


async def test_who_does_not_give_way_in_its_grace_is_ended_and_goes_back_to_its_place(yard: Yard) -> None:
    job, first, urgent = await displaced(yard)
    await overdue(yard)
    shown = await yard.until(job, "queued", "failed")
    assert (shown["state"], shown["attempt"]) == ("queued", 2)
    assert yard.runtime.workloads.get(first) is None or 0 in yard.runtime.workloads[first].stops
    await yard.until(urgent, "running")
    (told,) = await yard.events("allocation.revoked")
    assert (told["data"]["preempted"], "still there when its grace was over" in told["data"]["reason"]) == (True, True)


async def test_a_deaf_owner_loses_what_it_holds_when_the_runtime_says_that_it_is_gone(yard: Yard) -> None:
    """A replica whose service is down: told, revoked, ended here; and nothing is given to two in between."""
    yard.runtime.obeys_stop = False
    ask = AllocationRequested(
        id="alloc-r1",
        workload="rep-1",
        kind="replica",
        owner="bob",
        resources=Resources(accelerator="gpu", count=1),
        preemptible=True,
    )
    await yard.owners.datasets.tell(ask)
    await eventually(lambda: yard.events("allocation.granted"))
    await yard.runtime.launch(LaunchSpec("rep-1", "bob", ("serve",)))
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    urgent = (await yard.job(**things, **ONE_GPU, priority=500))["id"]
    await eventually(lambda: yard.events("allocation.preempting"))
    states = []
    for _ in range(3):
        assert (await yard.get(f"/jobs/{urgent}"))["state"] == "queued", "it is not free yet"
        await overdue(yard)
        states.append((await yard.client("bob").get("/allocations/alloc-r1")).json()["state"])
    assert states == ["revoked", "revoked", "released"]
    assert yard.runtime.workloads["rep-1"].stops == [0], "revoked first: its owner had the time to end it itself"
    await yard.until(urgent, "running")


async def test_a_gang_is_over_only_when_all_of_it_is(yard: Yard) -> None:
    places = (Placement(node="a"), Placement(node="b"))
    held = Allocation("alloc-g", "g", "replica", "bob", Resources(nodes=2), NOW, NOW, placements=places)
    await yard.runtime.launch(LaunchSpec("g", "bob", ("serve",)))
    await yard.runtime.launch(LaunchSpec("g-m1", "bob", ("serve",)))
    yard.runtime.ends("g")
    assert await states_of(yard.context, held) == [WorkloadState.EXITED, WorkloadState.RUNNING]
