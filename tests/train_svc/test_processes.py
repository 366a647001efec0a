"""Jobs as real processes: what a training script sees, how it is stopped, and that nothing of it is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from common.runtime.process import ProcessRuntime
from tests.support.process import settled_left_over
from tests.train_svc.conftest import Yard, eventually, open_yard

TRAIN = b"""
import json, os, sys, time
from pathlib import Path
from typing import Any
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
data, results = Path(os.environ["DATA_DIR"]), Path(os.environ["RESULT_DIR"])
counts = {part: sum(1 for p in (data / part).rglob("*.txt")) for part in ("train", "test")}
print("trains on", counts, "with", arguments["--epochs"], os.environ["EPOCHS"], flush=True)
before = Path(os.environ["CKPT_DIR"]) / "times"
times = int(before.read_text()) + 1 if before.exists() else 1
before.write_text(str(times))
with open(os.environ["YARD_METRICS"], "a") as metrics:
    for step in range(1, int(arguments["--epochs"]) + 1):
        metrics.write(json.dumps({"step": step, "accuracy": step / 10}) + "\\n")
if os.environ.get("LONG"):
    print("waits", flush=True)
    time.sleep(600)
if os.environ.get("FAIL"):
    sys.exit("out of ideas")
(results / "weights").write_bytes(bytes(times))
(results / "evaluation.json").write_text(json.dumps({"accuracy": 0.9, "counts": counts}))
"""


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    runtime = ProcessRuntime(tmp_path / "run")
    await runtime.start()
    async with open_yard(tmp_path, runtime, stop_grace_seconds=2) as made:
        yield made
    assert settled_left_over(tmp_path) == []


async def started(yard: Yard, **body: Any) -> dict[str, Any]:
    things = await yard.things(code={"train.py": TRAIN})
    return await yard.job(**things, **body)


@pytest.mark.row("T1", "T2", "T5", "T11", "T12")
async def test_a_script_trains_on_its_part_and_is_judged_on_the_other(yard: Yard) -> None:
    job = await started(yard, split={"ratio": 0.75, "seed": 1}, parameters={"epochs": 5})
    ended = await yard.until(job["id"], "succeeded", "failed")
    log = (await yard.alice.get(f"/jobs/{job['id']}/log")).text
    assert ended["state"] == "succeeded", log
    assert log == "trains on {'train': 6, 'test': 2} with 5 5\n"
    assert ended["evaluation"] == {"accuracy": 0.9, "counts": {"train": 6, "test": 2}}
    assert ended["metrics"] == {"accuracy": 0.5}
    assert (await yard.get(f"/jobs/{job['id']}/metrics"))["series"]["accuracy"] == [[s, s / 10] for s in range(1, 6)]
    (attempt,) = (await yard.get(f"/jobs/{job['id']}/attempts"))["items"]
    assert attempt["cpu_seconds"] > 0
    assert attempt["exit_code"] == 0


async def test_a_failing_script_keeps_its_log_and_its_reason(yard: Yard) -> None:
    job = await started(yard, environment={"FAIL": "1"})
    ended = await yard.until(job["id"], "failed")
    assert (ended["reason"], ended["exit_code"]) == ("exit_code", 1)
    assert "out of ideas" in (await yard.alice.get(f"/jobs/{job['id']}/log")).text


async def waits(yard: Yard, job_id: str) -> None:
    """Until the script of the job's present attempt has come to where it waits."""

    async def there() -> bool:
        return (await yard.alice.get(f"/jobs/{job_id}/log")).text.endswith("waits\n")

    await yard.until(job_id, "running")
    await eventually(there)


def processes_of(job_id: str) -> list[psutil.Process]:
    """What runs of a job on this machine."""
    return [p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("YARD_JOB_ID") == job_id]


@pytest.mark.row("T13", "T14")
async def test_stopped_it_is_gone_and_started_again_it_finds_its_checkpoints(yard: Yard) -> None:
    job = await started(yard, environment={"LONG": "1"})
    for verb in ("stop", "start", "stop"):
        if verb == "stop":
            await waits(yard, job["id"])
            assert processes_of(job["id"])
        assert (await yard.alice.post(f"/jobs/{job['id']}/{verb}")).status_code == 202
        if verb == "stop":
            await yard.until(job["id"], "stopped")
            assert processes_of(job["id"]) == []
    checkpoints = yard.house.platform.home / "run" / "volumes" / "ckpt" / job["id"] / "times"
    assert checkpoints.read_text() == "2"


@pytest.mark.row("T15")
async def test_the_time_limit_ends_it(yard: Yard) -> None:
    job = await started(yard, environment={"LONG": "1"}, time_limit_seconds=0.5)
    ended = await yard.until(job["id"], "timed_out")
    assert ended["reason"] == "time_limit"
    (event,) = await yard.events("job.timed_out")
    assert event["data"]["id"] == job["id"]


async def test_an_algorithm_whose_program_is_not_there(yard: Yard) -> None:
    things = await yard.things(command=("no-such-program",))
    ended = await yard.until((await yard.job(**things))["id"], "failed")
    assert ended["reason"] == "launch_failed"
    assert "no-such-program" in ended["detail"]


@pytest.mark.row("T19")
async def test_one_that_does_not_listen_is_killed_after_its_grace_and_comes_back(yard: Yard) -> None:
    """The loop leaves the deadline with the supervisor: nothing more is needed of train-svc for its own jobs."""
    deaf = b"import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('waits', flush=True)\n"
    things = await yard.things(code={"train.py": deaf + b"time.sleep(600)\n"})
    job = (await yard.job(**things))["id"]
    await waits(yard, job)
    (first,) = [allocation["id"] for allocation in (await yard.get("/allocations"))["items"]]
    async with yard.context.kit.store.work() as uow:
        await yard.context.ledger.preempt(uow, [first], "more urgent work", 0.3)

    async def again() -> bool:
        return (await yard.get(f"/jobs/{job}"))["attempt"] == 2

    await eventually(again)
    before = (await yard.get(f"/jobs/{job}/attempts"))["items"][0]
    assert (before["reason"], before["exit_code"]) == ("preempted", 137)
    assert (await yard.alice.post(f"/jobs/{job}/stop")).status_code == 202
    await yard.until(job, "stopped")
