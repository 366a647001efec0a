"""The platform dies and comes back: what runs is found again, and nothing happens twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fake_runtime import FakeRuntime
from tests.train_svc.conftest import eventually, open_yard
from tests.train_svc.owners import Owners


@pytest.mark.row("P6")
async def test_a_running_job_goes_on_and_ends_once(tmp_path: Path) -> None:
    runtime, owners = FakeRuntime(), Owners()
    async with open_yard(tmp_path, runtime, owners) as yard:
        job = await yard.job()
        queued = await yard.job(
            algorithm_id=job["algorithm"]["id"], dataset_id=job["dataset"]["id"], resources={"cpu": 8}
        )
        attempt = await yard.running(job["id"])
        runtime.says(attempt, b"before\n", b'{"step": 1, "loss": 1}\n')

        async def read() -> bool:
            yard.context.workloads.wake(attempt)
            return bool((await yard.get(f"/jobs/{job['id']}/metrics"))["series"])

        await eventually(read)
    runtime.forget_listeners()
    runtime.says(attempt, b"meanwhile\n", b'{"step": 2, "loss": 0.5}\n')
    async with open_yard(tmp_path, runtime, owners) as yard:
        assert (await yard.get(f"/jobs/{job['id']}"))["state"] == "running"
        runtime.says(attempt, b"after\n", b'{"step": 3, "loss": 0.25}\n', model=b"weights")
        runtime.ends(attempt)
        ended = await yard.until(job["id"], "succeeded")
        assert (await yard.alice.get(f"/jobs/{job['id']}/log")).text == "before\nmeanwhile\nafter\n"
        assert (await yard.get(f"/jobs/{job['id']}/metrics"))["series"] == {"loss": [[1, 1.0], [2, 0.5], [3, 0.25]]}
        await yard.running(queued["id"])
        for told in ("job.started", "job.succeeded", "model.created"):
            subjects = [event["subject"] for event in await yard.events(told)]
            assert len([s for s in subjects if s in (job["id"], ended["model_id"])]) == 1
    assert len(runtime.started) == len(set(runtime.started)) == 2


async def test_one_that_ended_while_the_platform_was_away_is_collected(tmp_path: Path) -> None:
    runtime, owners = FakeRuntime(), Owners()
    async with open_yard(tmp_path, runtime, owners) as yard:
        job = await yard.job()
        attempt = await yard.running(job["id"])
    runtime.forget_listeners()
    runtime.says(attempt, b"done\n", b'{"step": 1, "accuracy": 1}', model=b"weights")
    runtime.ends(attempt)
    async with open_yard(tmp_path, runtime, owners) as yard:
        ended = await yard.until(job["id"], "succeeded")
        assert ended["metrics"] == {"accuracy": 1.0}
        assert (await yard.get(f"/models/{ended['model_id']}"))["files"] == 1

        async def gone() -> bool:
            return not runtime.workloads

        await eventually(gone)


@pytest.mark.row("T15")
async def test_a_lost_one_is_said_to_be_lost(tmp_path: Path) -> None:
    runtime, owners = FakeRuntime(), Owners()
    async with open_yard(tmp_path, runtime, owners) as yard:
        job = await yard.job()
        attempt = await yard.running(job["id"])
    runtime.forget_listeners()
    del runtime.workloads[attempt]
    async with open_yard(tmp_path, runtime, owners) as yard:
        failed = await yard.until(job["id"], "failed")
        assert failed["reason"] == "lost"
        assert runtime.started == [attempt]
