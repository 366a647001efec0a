"""A supervisor or a platform that is killed at any line: never twice, never left over, never mistaken for another."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.kernel.clock import ManualClock
from common.ports.runtime import Limits, Mount, WorkloadState
from common.runtime.process import ending, processes, spawn
from common.runtime.process.folder import Folder
from common.runtime.process.folders import Folders
from common.runtime.process.observing import PATIENCE
from tests.support.files import opened_by

from .conftest import PYTHON, WAIT, Yard, gone

STARTING, RUNNING, EXITED, LOST = (
    WorkloadState.STARTING,
    WorkloadState.RUNNING,
    WorkloadState.EXITED,
    WorkloadState.LOST,
)
FAMILY = (
    "import os, time\n"
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork(): os._exit(0)\n"
    "    print(os.getpid(), flush=True); time.sleep(600)\n"
    "time.sleep(600)"
)
"""A workload with a grandchild that left its session and its parent."""


def record(folder: Path, name: str) -> dict:
    return json.loads((folder / name).read_text())


async def until_log(yard: Yard, handle, lines: int) -> str:
    async with asyncio.timeout(60):
        while (log := b"".join([c async for c in yard.runtime.logs(handle)]).decode()).count("\n") < lines:
            await asyncio.sleep(0.005)
    return log


@pytest.mark.parametrize("limits", [Limits(), Limits(pids=50)], ids=["by mark", "by control group"])
async def test_a_killed_supervisor_takes_everything_with_it(yard, limits):
    handle = await yard.running(yard.spec(FAMILY, limits=limits))
    grandchild = int(await until_log(yard, handle, 1))
    child, supervisor = record(yard.folder(), "running")["pid"], record(yard.folder(), "started")["pid"]
    os.kill(supervisor, signal.SIGKILL)
    seen = await yard.until(handle, LOST)
    assert (seen.exit_code, seen.cause) == (None, None)
    assert seen.started_at < seen.ended_at
    assert gone(child)
    assert gone(grandchild)
    assert all(not Path(group).exists() for group in record(yard.folder(), "spec.json")["groups"])


async def test_a_lost_workload_is_never_started_again(yard):
    mounts = (Mount("count", "volume", "COUNT", volume="count"),)
    spec = yard.spec("import os; open(os.environ['COUNT'] + '/n', 'a').write('x')\n" + WAIT, mounts=mounts)
    handle = await yard.running(spec)
    await until_log(yard, handle, 1)
    os.kill(record(yard.folder(), "started")["pid"], signal.SIGKILL)
    await yard.until(handle, LOST)
    assert await yard.runtime.launch(spec) == handle
    assert (await yard.runtime.observe(handle)).state is LOST
    await yard.runtime.stop(handle)
    assert (yard.home / "volumes" / "count" / "n").read_text() == "x"


async def test_a_supervisor_that_died_before_its_child_counts_as_started(yard):
    """`started` is written before the child: nobody can know that it wasn't, so it isn't started again."""
    spec = yard.spec()
    yard.runtime.prepare(spec)
    (yard.folder() / "started").write_text(json.dumps({"pid": 1, "start": 0, "boot": processes.boot_id(), "at": 0.0}))
    handle = await yard.runtime.launch(spec)
    assert (await yard.until(handle, LOST)).started_at is None


async def test_a_platform_killed_before_the_spawn_starts_it_on_the_next_launch(yard):
    spec = yard.spec("print('ran')")
    yard.runtime.prepare(spec)
    again = Yard(yard.home)
    await again.runtime.start()
    handle = await again.runtime.launch(spec)
    assert (await again.until(handle, EXITED)).exit_code == 0
    assert (again.folder() / "log").read_text() == "ran\n"
    await again.runtime.close()


async def test_a_folder_half_made_is_cleared_away_and_made_again(yard):
    (yard.folder() / "home").mkdir(parents=True)
    (yard.folder() / "spec.99.tmp").write_text("{")
    (yard.runtime.workloads / ".removed-job-0").mkdir()
    again = Yard(yard.home)
    await again.runtime.start()
    assert list(again.runtime.workloads.iterdir()) == []
    await again.runtime.close()
    handle = await yard.runtime.launch(yard.spec("pass"))
    assert (await yard.until(handle, EXITED)).exit_code == 0


async def test_who_starts_beside_another_leaves_alone_what_that_one_is_making(yard, monkeypatch):
    """Two services of one machine share the folder: one may start at any line of the other's launch."""
    settle, made = Folder.settle, asyncio.Event()
    beside = Folders(yard.home)

    def starts_meanwhile(folder: Folder, content: dict) -> dict:
        beside.clear_away()
        made.set()
        return settle(folder, content)

    monkeypatch.setattr(Folder, "settle", starts_meanwhile)
    await yard.running(yard.spec())
    assert made.is_set()


async def test_many_supervisors_of_one_workload_start_one_child(yard):
    spec = yard.spec("import os, time; os.write(1, b'x'); time.sleep(0.3)")
    folder = yard.runtime.prepare(spec)
    pipes = [yard.runtime.spawn_supervisor(folder) for _ in range(6)]
    handle = await yard.runtime.launch(spec)
    await yard.until(handle, EXITED)
    for pid, pipe in pipes:
        os.close(pipe)
        os.waitpid(pid, 0)
    assert (folder / "log").read_text() == "x"


async def test_a_late_supervisor_finds_the_end_and_goes(yard):
    handle = await yard.runtime.launch(yard.spec("print('once')"))
    await yard.until(handle, EXITED)
    pid, pipe = yard.runtime.spawn_supervisor(yard.folder())
    os.close(pipe)
    assert os.waitpid(pid, 0)[1] == 0
    assert (yard.folder() / "log").read_text() == "once\n"


async def test_a_reused_pid_is_not_the_workload(yard, sleeper):
    """A foreign process with the supervisor's pid and another start time is neither adopted nor touched."""
    spec = yard.spec()
    yard.runtime.prepare(spec)
    start = start_of(sleeper)
    forged = {"pid": sleeper, "start": start - 1, "boot": processes.boot_id(), "at": 1.0}
    for name in ("started", "running"):
        (yard.folder() / name).write_text(json.dumps(forged))
    again = Yard(yard.home)
    await again.runtime.start()
    handle = (await again.runtime.handles())[0]
    await again.runtime.stop(handle, grace=0)
    assert (await again.runtime.observe(handle)).state is LOST
    assert not gone_now(sleeper)
    await again.runtime.close()


def gone_now(pid: int) -> bool:
    fields = ending.stat_fields(pid)
    return fields is None or fields[0] == b"Z"


def start_of(pid: int) -> int:
    fields = ending.stat_fields(pid)
    assert fields is not None
    return int(fields[19])


async def test_a_pid_of_an_earlier_boot_is_dead(yard, sleeper):
    start = start_of(sleeper)
    now = {"pid": sleeper, "start": start, "boot": processes.boot_id()}
    assert processes.alive(now)
    assert not processes.alive(now | {"boot": "another"})
    assert not processes.send(now | {"start": start + 1}, signal.SIGKILL)
    assert not gone_now(sleeper)


async def test_a_zombie_is_dead(yard):
    pid = os.posix_spawn("/bin/true", ["true"], {})
    start = start_of(pid)
    assert gone(pid)
    assert not processes.alive({"pid": pid, "start": start, "boot": processes.boot_id()})
    os.waitpid(pid, 0)


async def test_supervisors_are_no_zombies_while_the_platform_lives(yard):
    handle = await yard.runtime.launch(yard.spec("pass"))
    await yard.until(handle, EXITED)
    supervisor = record(yard.folder(), "started")["pid"]
    async with asyncio.timeout(60):
        while ending.stat_fields(supervisor) is not None:
            await asyncio.sleep(0.005)


async def test_a_held_lock_means_unknown_and_not_lost(yard):
    """A supervisor that this process can't see (another pid namespace) still holds its lock: hands off."""
    yard.runtime.prepare(yard.spec())
    (yard.folder() / "started").write_text(json.dumps({"pid": 1, "start": 0, "boot": "elsewhere", "at": 0.0}))
    handle = (await yard.runtime.handles())[0]
    with Folder(yard.runtime.workloads, "job-1").alone() as alone:
        assert alone
        seen = await yard.runtime.observe(handle)
        assert seen.state is WorkloadState.UNKNOWN
        assert "lock" in seen.detail
    assert (await yard.runtime.observe(handle)).state is LOST


async def test_a_home_that_is_away_means_unknown(yard):
    handle = await yard.running(yard.spec())
    hidden = yard.home.with_name("hidden")
    yard.home.rename(hidden)
    try:
        assert (await yard.runtime.observe(handle)).state is WorkloadState.UNKNOWN
    finally:
        hidden.rename(yard.home)
    assert (await yard.runtime.observe(handle)).state is RUNNING


async def test_a_broken_record_means_unknown(yard):
    handle = await yard.runtime.launch(yard.spec("pass"))
    await yard.until(handle, EXITED)
    end = (yard.folder() / "exit.json").read_text()
    (yard.folder() / "exit.json").write_text("[half")
    assert (await yard.runtime.observe(handle)).state is WorkloadState.UNKNOWN
    (yard.folder() / "exit.json").write_text(end)


async def test_a_supervisor_that_never_speaks_is_given_up_in_time(home):
    clock = ManualClock()
    yard = Yard(home, clock)
    await yard.runtime.start()
    yard.runtime.prepare(yard.spec())
    handle = (await yard.runtime.handles())[0]
    assert (await yard.runtime.observe(handle)).state is STARTING
    clock.advance(PATIENCE - 1)
    assert (await yard.runtime.observe(handle)).state is STARTING
    clock.advance(2)
    assert (await yard.runtime.observe(handle)).state is LOST
    pid, pipe = yard.runtime.spawn_supervisor(yard.folder())
    os.close(pipe)
    os.waitpid(pid, 0)
    assert not (yard.folder() / "started").exists()
    await yard.close()


async def test_stop_before_the_supervisor_started(yard):
    yard.runtime.prepare(yard.spec())
    handle = (await yard.runtime.handles())[0]
    await yard.runtime.stop(handle, grace=5)
    seen = await yard.runtime.observe(handle)
    assert (seen.state, seen.cause, seen.started_at) == (EXITED, "stopped", None)
    assert await yard.runtime.launch(yard.spec()) == handle
    assert not (yard.folder() / "started").exists()


async def test_a_stop_that_was_left_is_found_by_the_supervisor(yard):
    """The platform wrote the request and was killed before it could signal."""
    folder = yard.runtime.prepare(yard.spec())
    Folder(yard.runtime.workloads, "job-1").record("stop", 5.0)
    pid, pipe = yard.runtime.spawn_supervisor(folder)
    os.close(pipe)
    os.waitpid(pid, 0)
    assert record(folder, "exit.json")["cause"] == "stopped"
    assert not (folder / "running").exists()


PLATFORM = """
import asyncio, sys
from pathlib import Path
from common.ports.runtime import LaunchSpec, Limits
from common.runtime.process import ProcessRuntime
async def main():
    runtime = ProcessRuntime(Path(sys.argv[1]), interpreter=Path(sys.argv[2]))
    await runtime.start()
    code = "import time; print('up', flush=True); time.sleep(0.6); print('done')"
    await runtime.launch(LaunchSpec("job-1", "user-a", (sys.argv[2], "-c", code), limits=Limits(log_bytes=1000)))
    print("launched", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("group", [False, True], ids=["the process", "its whole group"])
async def test_kill_9_of_the_platform_disturbs_nothing(home, group):
    arguments = [sys.executable, "-c", PLATFORM, str(home), PYTHON]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, start_new_session=True) as platform:
        assert platform.stdout is not None
        assert platform.stdout.readline() == b"launched\n"
        (os.killpg if group else os.kill)(platform.pid, signal.SIGKILL)
    yard = Yard(home)
    await yard.runtime.start()
    handle = await yard.runtime.launch(yard.spec("print('never')"))
    seen = await yard.until(handle, EXITED)
    assert (seen.exit_code, seen.cause) == (0, "exit")
    assert (yard.folder() / "log").read_text() == "up\ndone\n"
    await yard.close()


async def test_the_supervisor_is_by_itself(yard):
    """Its own session, nothing of the platform's environment or descriptors."""
    os.environ["PLATFORM_SECRET"] = "canary"
    reader, writer = os.pipe()
    try:
        os.set_inheritable(writer, True)
        await yard.running(yard.spec())
        supervisor = record(yard.folder(), "started")["pid"]
        assert os.getsid(supervisor) == supervisor
        assert Path(f"/proc/{supervisor}/environ").read_bytes() == b"LANG=C.UTF-8\0"
        assert f"pipe:[{os.fstat(writer).st_ino}]" not in opened_by(supervisor)
    finally:
        del os.environ["PLATFORM_SECRET"]
        os.close(reader)
        os.close(writer)


async def test_signals_mean_to_a_workload_what_they_mean_anywhere(yard):
    code = (
        "import signal as s; print([s.getsignal(n) for n in (s.SIGINT, s.SIGHUP, s.SIGTERM)], s.pthread_sigmask(0, []))"
    )
    handle = await yard.runtime.launch(yard.spec(code))
    await yard.until(handle, EXITED)
    log = (yard.folder() / "log").read_text()
    assert "default_int_handler" in log
    assert log.count("SIG_DFL") == 2
    assert log.endswith("set()\n")


async def test_an_id_may_be_used_again_after_its_removal(yard):
    for round_ in range(5):
        handle = await yard.runtime.launch(yard.spec(f"print({round_})"))
        assert (await yard.until(handle, EXITED)).exit_code == 0
        assert (yard.folder() / "log").read_text() == f"{round_}\n"
        await yard.runtime.remove(handle)


async def test_a_hundred_at_once(yard):
    specs = [yard.spec(f"print({i})", f"job-{i}", port=True) for i in range(100)]
    handles = [await yard.runtime.launch(spec) for spec in specs]
    seen = [await yard.until(handle, EXITED) for handle in handles]
    assert all(one.exit_code == 0 for one in seen)
    assert len({one.address for one in seen}) == 100
    assert [(yard.folder(f"job-{i}") / "log").read_text() for i in range(100)] == [f"{i}\n" for i in range(100)]


async def test_installing_again_gives_the_same_program(yard):
    first = spawn.install(yard.home)
    changed = first.stat().st_mtime_ns
    assert spawn.install(yard.home) == first
    assert first.stat().st_mtime_ns == changed
