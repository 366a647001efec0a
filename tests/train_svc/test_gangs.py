"""A job on several nodes: one member a placement, together from beginning to end (row T19)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common.ports.runtime import RuntimeCapabilities
from tests.support.fake_runtime import FakeRuntime
from tests.train_svc.conftest import Yard, eventually, gpus, open_yard

pytestmark = pytest.mark.row("T19")

NODES = [gpus(2, "one"), gpus(2, "two")]
TWO: dict[str, Any] = {"resources": {"accelerator": "gpu", "count": 1, "nodes": 2}}


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    async with open_yard(tmp_path, shown=NODES) as yard:
        yield yard


async def gang(yard: Yard) -> tuple[str, str]:
    """A job whose two members run: its id and its attempt's."""
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    job = (await yard.job(**things, **TWO))["id"]
    return job, await yard.running(job)


async def test_each_member_has_its_devices_and_finds_the_others(yard: Yard) -> None:
    job, attempt = await gang(yard)
    assert yard.runtime.started == [attempt, f"{attempt}-m1"]
    specs = [yard.runtime.workloads[member].spec for member in yard.runtime.started]
    assert [len(spec.devices) for spec in specs] == [1, 1]
    (shown,) = (await yard.get(f"/jobs/{job}/attempts"))["items"]
    assert [tuple(one["devices"]) for one in shown["placements"]] == [spec.devices for spec in specs]
    assert len({one["node"] for one in shown["placements"]}) == 2
    assert all(one["simulated"] for one in shown["placements"])
    told = [{name: spec.environment[name] for name in ("NNODES", "WORLD_SIZE", "YARD_NODES")} for spec in specs]
    assert told == [{"NNODES": "2", "WORLD_SIZE": "2", "YARD_NODES": "2"}] * 2
    assert [spec.environment["NODE_RANK"] for spec in specs] == ["0", "1"]
    assert {(spec.environment["MASTER_ADDR"], spec.environment["MASTER_PORT"]) for spec in specs} == {
        ("127.0.0.1", "29500")
    }
    yard.runtime.says(attempt, log=b"first\n", model=b"weights")
    yard.runtime.says(f"{attempt}-m1", log=b"second\n")
    assert (await yard.alice.get(f"/jobs/{job}/log?member=1")).text == "second\n"
    yard.runtime.ends(f"{attempt}-m1")
    yard.runtime.ends(attempt)
    await yard.until(job, "succeeded")
    logs = [(await yard.alice.get(f"/jobs/{job}/log?member={member}")).text for member in (0, 1)]
    assert logs == ["first\n", "second\n"]
    assert (await yard.alice.get(f"/jobs/{job}/log?member=2")).json()["code"] == "member_not_found"
    await yard.quiet()
    assert not yard.runtime.workloads, "no member is left behind"


async def test_a_member_that_fails_ends_the_whole_with_its_reason(yard: Yard) -> None:
    job, attempt = await gang(yard)
    yard.runtime.ends(f"{attempt}-m1", 3, detail="out of luck")
    shown = await yard.until(job, "failed")
    assert (shown["reason"], shown["exit_code"], shown["detail"]) == ("exit_code", 3, "Member 1 of 2: out of luck")


async def test_it_is_stopped_as_a_whole(yard: Yard) -> None:
    job, _ = await gang(yard)
    assert (await yard.alice.post(f"/jobs/{job}/stop")).status_code == 202
    assert (await yard.until(job, "stopped", "failed"))["state"] == "stopped"


async def test_a_service_that_starts_again_has_all_members_still(tmp_path: Path) -> None:
    runtime = FakeRuntime()
    async with open_yard(tmp_path, runtime, shown=NODES) as yard:
        job, attempt = await gang(yard)
        owners = yard.owners
    runtime.forget_listeners()
    runtime.ends(attempt)
    async with open_yard(tmp_path, runtime, owners, NODES) as yard:
        assert (await yard.get(f"/jobs/{job}"))["state"] == "running"
        runtime.ends(f"{attempt}-m1")
        await yard.until(job, "succeeded")
        assert runtime.started == [attempt, f"{attempt}-m1"]


async def test_a_launch_that_fails_half_way_leaves_no_member(yard: Yard) -> None:
    launch = yard.runtime.launch

    async def fails(spec: Any) -> Any:
        if spec.workload.endswith("-m1"):
            raise RuntimeError("killed between two launches")
        return await launch(spec)

    yard.runtime.launch = fails
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    job = (await yard.job(**things, **TWO))["id"]

    async def half() -> bool:
        return len(yard.runtime.started) == 1

    await eventually(half)
    assert (await yard.alice.post(f"/jobs/{job}/stop")).status_code == 202
    await yard.until(job, "stopped")
    assert not yard.runtime.workloads


async def test_where_gangs_cannot_run_they_are_refused_at_submit(yard: Yard) -> None:
    yard.runtime.capabilities = RuntimeCapabilities()
    things = await yard.things(training={"devices": ("cpu", "gpu")})
    refused = await yard.alice.post("/jobs", json={"name": "one", **things, **TWO})
    assert refused.status_code == 422
    assert refused.json()["faults"][0]["where"] == "resources.nodes"
