"""dockerd is killed under running workloads: they go on, and what they did meanwhile is known rightly afterwards."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest

from common.kernel.errors import Unavailable
from common.ports.runtime import WorkloadState
from common.runtime.docker.records import Records

EXITED, RUNNING, UNKNOWN = WorkloadState.EXITED, WorkloadState.RUNNING, WorkloadState.UNKNOWN
COUNT = "import time\nn = 0\nwhile True: print(n, flush=True); n += 1; time.sleep(0.002)"


@pytest.mark.row("T14")
async def test_what_runs_goes_on_and_what_ended_is_recorded(bench, docker):
    counting = bench.code(COUNT)
    ending, let_go = bench.gated("import sys; print('done', flush=True); sys.exit(7)")
    handles = [await bench.runtime.launch(spec) for spec in (counting, ending)]
    for handle in handles:
        await bench.until(handle, RUNNING)
    before = json.loads(docker.run_client("inspect", counting.workload))[0]["State"]["Pid"]
    docker.kill()
    let_go()
    assert (await bench.runtime.observe(handles[0])).state is UNKNOWN
    with pytest.raises(Unavailable):
        await bench.runtime.stop(handles[0])
    with pytest.raises(Unavailable):
        await bench.runtime.launch(bench.code("pass"))
    await bench.until_log(handles[1], "done")
    async with asyncio.timeout(120):
        while Records(bench.runtime.workloads, ending.workload).told("exit.json") is None:
            await asyncio.sleep(0.02)
    during = (await bench.log(handles[0])).count("\n")
    back = datetime.now(UTC)
    docker.start()
    async with asyncio.timeout(120):
        while (await bench.runtime.observe(handles[0])).state is UNKNOWN:
            await asyncio.sleep(0.05)
    seen = await bench.until(handles[1], EXITED)
    assert (seen.exit_code, seen.cause) == (7, "exit")
    assert seen.started_at <= seen.ended_at <= back, "as it told itself, not when that was seen"
    after = json.loads(docker.run_client("inspect", counting.workload))[0]["State"]
    assert (after["Running"], after["Pid"]) == (True, before)
    lines = (await bench.log(handles[0])).split("\n")[:-1]
    assert len(lines) > during
    assert lines == [str(n) for n in range(len(lines))]


async def test_changes_wake_again_when_docker_is_back(bench, docker):
    spec = bench.code("import time; print('up', flush=True); time.sleep(600)")
    handle = await bench.runtime.launch(spec)
    await bench.until_log(handle, "up")
    docker.kill()
    bench.wakes.clear()
    docker.start()
    async with asyncio.timeout(120):
        while spec.workload not in bench.wakes:  # told when it listens again
            await asyncio.sleep(0.02)
    await bench.until(handle, RUNNING)
    bench.wakes.clear()
    await bench.runtime.stop(handle, grace=0)
    async with asyncio.timeout(60):
        while spec.workload not in bench.wakes:
            await asyncio.sleep(0.02)


async def test_a_launch_that_docker_left_unanswered_is_carried_on(bench, docker):
    spec = bench.code("print('once')")
    docker.kill()
    with pytest.raises(Unavailable):
        await bench.runtime.launch(spec)
    docker.start()
    handle = await bench.runtime.launch(spec)
    await bench.until(handle, EXITED)
    assert await bench.log(handle) == "once\n"
