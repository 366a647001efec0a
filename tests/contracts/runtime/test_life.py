"""What every runtime promises of a workload's life: launched once, seen as it is, ended when asked."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from common.kernel.errors import Conflict, Invalid, Problem
from common.ports.runtime import Limits, Mount, WorkloadState

STARTING, RUNNING, EXITED, GONE = (
    WorkloadState.STARTING,
    WorkloadState.RUNNING,
    WorkloadState.EXITED,
    WorkloadState.GONE,
)
WAIT = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


async def test_a_workload_runs_and_ends(bench):
    before = datetime.now(UTC)
    handle = await bench.runtime.launch(bench.code("import sys; print('hello'); sys.exit(3)"))
    seen = await bench.until(handle, EXITED)
    assert (seen.exit_code, seen.cause) == (3, "exit")
    assert before - timedelta(seconds=1) <= seen.started_at <= seen.ended_at <= datetime.now(UTC) + timedelta(seconds=1)
    assert await bench.log(handle) == "hello\n"


async def test_running_is_seen_with_its_start(bench):
    handle = await bench.runtime.launch(bench.code(WAIT))
    seen = await bench.until(handle, RUNNING)
    assert seen.started_at is not None
    assert (seen.ended_at, seen.exit_code, seen.cause) == (None, None, None)


@pytest.mark.row("T14")
async def test_launching_twice_is_launching_once(bench):
    mounts = (Mount("ckpt", "volume", "CKPT_DIR", volume="ckpt/once"),)
    code = "import os; open(os.environ['CKPT_DIR'] + '/runs', 'a').write('x')"
    spec = bench.code(code, mounts=mounts)
    first, second = await asyncio.gather(bench.runtime.launch(spec), bench.runtime.launch(spec))
    assert first == second
    await bench.until(first, EXITED)
    assert await bench.runtime.launch(spec) == first
    assert (await bench.seen(first)).state is EXITED
    _, log = await bench.run(
        bench.code("import os; print(open(os.environ['CKPT_DIR'] + '/runs').read())", mounts=mounts)
    )
    assert log == "x\n"


async def test_a_signal_shows_as_128_and_its_number(bench):
    seen, _ = await bench.run(bench.code("import os; os.kill(os.getpid(), 9)"))
    assert (seen.exit_code, seen.cause) == (137, "exit")
    assert "SIGKILL" in seen.detail


@pytest.mark.row("T12")
async def test_the_log_has_both_streams_in_order_and_reads_from_an_offset(bench):
    code = "import sys\nfor i in range(3): print(i, flush=True); print('e', i, file=sys.stderr, flush=True)"
    handle = await bench.runtime.launch(bench.code(code))
    await bench.until(handle, EXITED)
    assert await bench.log(handle) == "0\ne 0\n1\ne 1\n2\ne 2\n"
    assert await bench.log(handle, offset=6) == "1\ne 1\n2\ne 2\n"
    assert await bench.log(handle, offset=10_000) == ""


@pytest.mark.row("T12")
async def test_the_log_is_read_while_it_is_written(bench):
    handle = await bench.runtime.launch(bench.code(WAIT))
    assert await bench.until_log(handle, "up") == "up\n"
    assert (await bench.seen(handle)).state is RUNNING


async def test_a_large_log_loses_no_byte(bench):
    _, log = await bench.run(bench.code("print('0123456789' * 200_000)"))
    assert len(log) == 2_000_001


async def test_a_log_limit_cuts_the_log_and_not_the_workload(bench):
    code = "import sys\nfor _ in range(2000): sys.stdout.write('x' * 1000)\nsys.stdout.flush(); sys.exit(7)"
    seen, log = await bench.run(bench.code(code, limits=Limits(log_bytes=5000)))
    assert seen.exit_code == 7
    assert log.startswith("x" * 5000 + "\n")
    assert "limit of 5000 bytes" in log
    assert len(log) < 5200


@pytest.mark.row("T13")
async def test_stop_asks_first(bench):
    code = (
        "import signal, sys, time\n"
        "def end(*_): print('bye', flush=True); sys.exit(0)\n"
        "signal.signal(15, end); print('up', flush=True); time.sleep(600)"
    )
    handle = await bench.runtime.launch(bench.code(code))
    await bench.until_log(handle, "up")
    await bench.runtime.stop(handle, grace=30)
    await bench.runtime.stop(handle, grace=30)
    seen = await bench.until(handle, EXITED)
    assert (seen.exit_code, seen.cause) == (0, "stopped")
    assert await bench.log(handle) == "up\nbye\n"
    await bench.runtime.stop(handle)
    assert await bench.runtime.observe(handle) == seen


@pytest.mark.row("T19")
async def test_a_notice_says_why_and_until_when_before_the_signal_comes(bench):
    code = (
        "import os, signal, sys, time\n"
        "at = os.environ['YARD_PREEMPT_FILE']\n"
        "def end(*_): print(open(at).read(), flush=True); sys.exit(0)\n"
        "signal.signal(15, end); print('up', os.path.exists(at), flush=True); time.sleep(600)"
    )
    handle = await bench.runtime.launch(bench.code(code))
    await bench.until_log(handle, "up False")
    before = datetime.now(UTC)
    await bench.runtime.stop(handle, grace=30, notice="preempted")
    await bench.runtime.stop(handle, grace=60, notice="preempted")
    await bench.until(handle, EXITED)
    notice = json.loads((await bench.log(handle)).splitlines()[1])
    assert notice["reason"] == "preempted"
    assert 28 < (datetime.fromisoformat(notice["deadline"]) - before).total_seconds() < 35


@pytest.mark.row("T13")
async def test_stop_kills_after_the_grace(bench):
    handle = await bench.runtime.launch(bench.code(STUBBORN))
    await bench.until_log(handle, "up")
    await bench.runtime.stop(handle, grace=0.1)
    seen = await bench.until(handle, EXITED)
    assert (seen.exit_code, seen.cause) == (137, "stopped")


async def test_a_shorter_grace_may_follow(bench):
    handle = await bench.runtime.launch(bench.code(STUBBORN))
    await bench.until_log(handle, "up")
    await bench.runtime.stop(handle, grace=600)
    await bench.runtime.stop(handle, grace=0)
    assert (await bench.until(handle, EXITED)).cause == "stopped"


async def test_stop_at_once_after_launch(bench):
    handle = await bench.runtime.launch(bench.code(WAIT))
    await bench.runtime.stop(handle, grace=0)
    assert (await bench.until(handle, EXITED)).cause == "stopped"


async def test_nothing_outlives_the_end(bench):
    """A process that left its session and its parent goes with the workload all the same."""
    mounts = (Mount("beat", "volume", "BEAT_DIR", volume="beat/one"),)
    code = (
        "import os, time\n"
        "path = os.environ['BEAT_DIR'] + '/beat'\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        while True: open(path, 'a').write('x'); time.sleep(0.01)\n"
        "    os._exit(0)\n"
        "while not os.path.exists(path): time.sleep(0.01)"
    )
    seen, _ = await bench.run(bench.code(code, mounts=mounts))
    assert seen.exit_code == 0
    size = "import os; print(os.path.getsize(os.environ['BEAT_DIR'] + '/beat'))"
    _, first = await bench.run(bench.code(size, mounts=mounts))
    _, second = await bench.run(bench.code("import time; time.sleep(0.1)\n" + size, mounts=mounts))
    assert first == second


@pytest.mark.row("T15")
async def test_the_time_limit_ends_it(bench):
    handle = await bench.runtime.launch(bench.code(WAIT, limits=Limits(seconds=0.3)))
    seen = await bench.until(handle, EXITED)
    assert seen.cause == "time_limit"
    assert (seen.ended_at - seen.started_at).total_seconds() >= 0.2


@pytest.mark.row("T15")
async def test_the_time_limit_holds_across_a_restart(bench):
    handle = await bench.runtime.launch(bench.code(WAIT, limits=Limits(seconds=0.5)))
    await bench.until(handle, RUNNING, EXITED)
    await bench.restart()
    assert (await bench.until(handle, EXITED)).cause == "time_limit"


async def test_a_restart_neither_disturbs_nor_doubles(bench):
    spec, let_go = bench.gated("import sys; print(os.getpid(), flush=True); sys.exit(5)")
    handle = await bench.runtime.launch(spec)
    before = await bench.until(handle, RUNNING)
    await bench.restart()
    assert await bench.runtime.launch(spec) == handle
    assert list(await bench.runtime.handles()) == [handle]
    assert (await bench.seen(handle)).started_at == before.started_at
    let_go()
    assert (await bench.until(handle, EXITED)).exit_code == 5
    assert (await bench.log(handle)).count("\n") == 1


async def test_an_end_while_nobody_looked_is_seen_later(bench):
    spec, let_go = bench.gated("raise SystemExit(4)")
    handle = await bench.runtime.launch(spec)
    await bench.until(handle, STARTING, RUNNING)
    await bench.runtime.close()
    let_go()
    await asyncio.sleep(0.4)
    await bench.restart()
    assert (await bench.until(handle, EXITED)).exit_code == 4


async def test_changes_wake(bench):
    spec, let_go = bench.gated("pass")
    handle = await bench.runtime.launch(spec)
    await bench.until(handle, RUNNING)
    woken = bench.wakes.count(spec.workload)
    let_go()
    await bench.until(handle, EXITED)
    async with asyncio.timeout(60):
        while bench.wakes.count(spec.workload) <= woken:
            await asyncio.sleep(0.01)


async def test_what_was_never_launched_is_gone(bench):
    spec = bench.code(WAIT)
    handle = await bench.runtime.launch(spec)
    await bench.runtime.stop(handle, grace=0)
    await bench.until(handle, EXITED)
    await bench.runtime.remove(handle)
    assert (await bench.runtime.observe(handle)).state is GONE
    await bench.runtime.stop(handle)
    await bench.runtime.remove(handle)
    assert await bench.log(handle) == ""
    assert list(await bench.runtime.handles()) == []


async def test_a_running_workload_is_not_removed(bench):
    handle = await bench.runtime.launch(bench.code(WAIT))
    await bench.until(handle, RUNNING)
    with pytest.raises(Conflict) as caught:
        await bench.runtime.remove(handle)
    assert caught.value.code == "workload_running"
    assert (await bench.seen(handle)).state is RUNNING


async def test_a_program_that_is_not_there(bench):
    """Known at once, or seen when the start fails: the reason is the same."""
    try:
        seen = await bench.until(await bench.runtime.launch(bench.spec("no-such-program")), EXITED)
        reason, detail = seen.cause, seen.detail
    except Problem as problem:
        reason, detail = problem.code, problem.detail
    assert reason == "launch_failed"
    assert "no-such-program" in detail


@pytest.mark.parametrize("workload", ["../x", "A", "", "a/b", "a" * 200])
async def test_an_id_that_is_no_folder_name_is_refused(bench, workload):
    with pytest.raises(Invalid) as caught:
        await bench.runtime.launch(bench.code("pass", workload=workload))
    assert caught.value.code == "bad_workload"


async def test_usage_is_told(bench):
    seen, _ = await bench.run(bench.code("x = bytearray(60_000_000)\nfor _ in range(2_000_000): pass"))
    assert seen.usage.cpu_seconds > 0.01
    assert 60_000_000 <= seen.usage.peak_memory < 400_000_000
