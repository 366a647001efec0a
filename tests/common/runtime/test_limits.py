"""Limits, full disks and users, as the process runtime keeps them on this machine."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.kernel.errors import Invalid
from common.ports.runtime import LaunchSpec, Limits, Mount, WorkloadState
from common.runtime.process import LaunchFailed, ProcessRuntime, cgroups
from common.runtime.process.cgroups import ControlGroups, Controller, find_controllers
from common.runtime.process.owners import BASE_UID, BELIEVED, Owners, Ways, unreachable, why_no_own_uid

from .conftest import PYTHON, WAIT, Yard, end_all

EXITED, RUNNING = WorkloadState.EXITED, WorkloadState.RUNNING
ROOT = os.geteuid() == 0
OUT = (Mount("results", "scratch", "RESULT_DIR"),)


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """A file system of 2 MiB, where this user may mount one; else a folder like any other."""
    home.mkdir(mode=0o711)
    mounted = ROOT and not subprocess.call(["mount", "-t", "tmpfs", "-o", "size=2m,mode=711", "tmpfs", str(home)])
    yield home
    end_all(home)
    if mounted:
        subprocess.check_call(["umount", "--lazy", str(home)])


async def test_a_full_disk_loses_no_ending(small_disk):
    yard = Yard(small_disk)
    await yard.runtime.start()
    fill = "import os\nf = open(os.environ['RESULT_DIR'] + '/big', 'wb', buffering=0)\nwhile True: f.write(bytes(8192))"
    if not small_disk.is_mount():
        fill = "open('/dev/full', 'wb', buffering=0).write(b'x')"
    handle = await yard.runtime.launch(yard.spec(fill, mounts=OUT))
    other = await yard.runtime.launch(yard.spec("import time; time.sleep(0.5); raise SystemExit(0)", "job-2"))
    seen = await yard.until(handle, EXITED)
    assert (seen.exit_code, seen.cause) == (1, "storage_full")
    assert (await yard.until(other, EXITED)).exit_code == 0
    if small_disk.is_mount():
        with pytest.raises(LaunchFailed) as caught:
            await yard.runtime.launch(yard.spec(workload="job-3"))
        assert (caught.value.code, caught.value.extra) == ("launch_failed", {"cause": "storage_full"})
        assert "No space left" in caught.value.detail
    await yard.close()


async def until_up(yard: Yard) -> None:
    async with asyncio.timeout(60):
        while (yard.folder() / "log").read_text() != "up\n":
            await asyncio.sleep(0.005)


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - the disk is full, as it should be


async def test_stop_works_on_a_full_disk(small_disk):
    yard = Yard(small_disk)
    await yard.runtime.start()
    handle = await yard.running(yard.spec("import signal, time; signal.signal(15, signal.SIG_IGN)\n" + WAIT))
    await until_up(yard)  # or its own word would find no room, and it would end by itself
    if small_disk.is_mount():
        fill_up(small_disk / "filler")
    for grace in (600, 300, 0):
        await yard.runtime.stop(handle, grace=grace)
    assert (await yard.until(handle, EXITED)).cause == "stopped"
    await yard.close()


async def test_no_space_in_its_last_words_means_storage_full(yard):
    handle = await yard.runtime.launch(yard.spec("open('/dev/full', 'wb', buffering=0).write(b'x')"))
    assert (await yard.until(handle, EXITED)).cause == "storage_full"


async def test_the_time_limit_gives_grace_and_then_kills(home):
    runtime = ProcessRuntime(home, interpreter=Path(PYTHON), grace=0.2)
    yard = Yard(home)
    yard.runtime = runtime
    await runtime.start()
    code = "import signal, time\nsignal.signal(15, lambda *_: print('asked', flush=True))\nwhile True: time.sleep(1)"
    handle = await runtime.launch(yard.spec(code, limits=Limits(seconds=0.2, log_bytes=100)))
    seen = await yard.until(handle, EXITED)
    assert (seen.exit_code, seen.cause) == (137, "time_limit")
    assert (yard.folder() / "log").read_text() == "asked\n"
    await yard.close()


async def test_a_halted_workload_hears_the_request(yard):
    handle = await yard.running(yard.spec("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"))
    await yard.runtime.stop(handle, grace=600)
    assert (await yard.until(handle, EXITED)).exit_code == 128 + signal.SIGTERM


async def test_no_control_group_is_left(yard):
    handle = await yard.running(yard.spec(limits=Limits(memory=1 << 28, pids=50, cpu=1)))
    groups = [Path(group) for group in json.loads((yard.folder() / "spec.json").read_text())["groups"]]
    held = [
        yard.runtime.capabilities.memory_limit,
        yard.runtime.capabilities.pids_limit,
        yard.runtime.capabilities.cpu_limit,
    ]
    assert bool(groups) is any(held)
    assert all(group.is_dir() for group in groups)
    await yard.runtime.stop(handle, grace=0)
    await yard.until(handle, EXITED)
    assert not any(group.exists() for group in groups)


async def test_groups_of_forgotten_workloads_are_swept(yard):
    for controller in yard.runtime._groups.controllers.values():
        (controller.base / f"{yard.runtime._groups.prefix}job-lost").mkdir()
    again = Yard(yard.home)
    await again.runtime.start()
    await again.runtime.close()
    left = [list(c.base.glob(f"{yard.runtime._groups.prefix}*")) for c in yard.runtime._groups.controllers.values()]
    assert not any(left)


async def test_a_group_that_cannot_be_made_fails_the_launch(yard):
    folder = yard.runtime.prepare(yard.spec())
    (folder / "launch").write_bytes((folder / "launch").read_bytes() + b"cgroup\0/proc/no-such/group\0")
    pid, pipe = yard.runtime.spawn_supervisor(folder)
    os.close(pipe)
    os.waitpid(pid, 0)
    seen = await yard.runtime.observe((await yard.runtime.handles())[0])
    assert (seen.state, seen.cause, seen.exit_code) == (EXITED, "launch_failed", None)
    assert "control group" in seen.detail


async def test_a_program_that_can_not_be_executed_is_told(yard, home):
    script = home.parent / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    handle = await yard.runtime.launch(LaunchSpec("job-1", "user-a", (str(script),)))
    seen = await yard.until(handle, EXITED)
    assert (seen.cause, seen.exit_code) == ("launch_failed", None)
    assert "No such file" in seen.detail


def test_version_2_groups_are_planned_by_its_names(tmp_path):
    own = tmp_path / "system.slice" / "yard.service"
    groups = ControlGroups(tmp_path, {n: Controller(n, own, unified=True) for n in cgroups.NAMES})
    plan = groups.plan("job-1", Limits(cpu=0.5, memory=1 << 20, pids=7))
    group = own / f"{groups.prefix}job-1"
    assert plan.groups == (str(group),)
    assert plan.settings == (
        f"{group}/memory.max=1048576",
        f"{group}/memory.swap.max=0",
        f"{group}/pids.max=7",
        f"{group}/cpu.max=50000 100000",
    )
    assert plan.oom == (f"{group}/memory.events",)


def test_controllers_are_looked_for_where_this_process_is(tmp_path):
    (tmp_path / "self").write_text("5:memory:/box/a\n4:cpu,cpuacct:/\n3:devices:/\n1:name=systemd:/x\n")
    found = find_controllers(tmp_path, tmp_path / "self")
    assert found == [
        Controller("memory", tmp_path / "memory" / "box" / "a", unified=False),
        Controller("cpu", tmp_path / "cpu", unified=False),
    ]


def test_no_limits_no_groups(tmp_path):
    groups = ControlGroups(tmp_path, {n: Controller(n, tmp_path, unified=False) for n in cgroups.NAMES})
    assert groups.plan("job-1", Limits()) == cgroups.GroupPlan()


def test_a_machine_without_control_groups(tmp_path):
    assert find_controllers(tmp_path, tmp_path / "absent") == []


def test_owners_keep_their_uid(tmp_path):
    first = Owners(tmp_path)
    assert [first.uid("a"), first.uid("b"), first.uid("a")] == [BASE_UID + 1, BASE_UID + 2, BASE_UID + 1]
    second = Owners(tmp_path)
    assert [second.uid("c"), second.uid("b")] == [BASE_UID + 3, BASE_UID + 2]
    assert first.uid("d") == BASE_UID + 4
    assert (tmp_path / "uids.json").stat().st_mode & 0o777 == 0o600


def test_the_way_to_a_file_is_checked_step_by_step(tmp_path, home):
    inner = home.parent / "open"
    inner.mkdir(mode=0o755)
    file = inner / "f"
    file.write_text("x")
    assert unreachable(file) is None
    link = home.parent / "link"
    link.symlink_to(file)
    inner.chmod(0o700)
    assert unreachable(link) == inner.resolve()
    inner.chmod(0o711)
    file.chmod(0o600)
    assert unreachable(file) == file.resolve()


def test_a_way_that_is_free_is_believed_for_a_while_and_one_that_is_not_is_looked_at_again(home, monkeypatch):
    file = home.parent / "f"
    file.write_text("x")
    file.chmod(0o600)
    ways = Ways()
    assert ways.blocked(file) == file.resolve()
    file.chmod(0o644)
    assert ways.blocked(file) is None
    file.chmod(0o600)
    assert ways.blocked(file) is None
    later = time.monotonic() + BELIEVED
    monkeypatch.setattr("common.runtime.process.owners.time.monotonic", lambda: later)
    assert ways.blocked(file) == file.resolve()


async def test_without_users_of_their_own_it_is_said(tmp_path):
    """A home that other users can't enter (or a platform that isn't root) is a note, and not a capability."""
    tmp_path.chmod(0o700)
    runtime = ProcessRuntime(tmp_path / "runtime")
    await runtime.start()
    assert not runtime.capabilities.own_uid
    assert not runtime.capabilities.read_only_mounts
    assert any(" as " in note for note in runtime.notes)
    assert any("network" in note for note in runtime.notes)
    await runtime.close()


def test_an_interpreter_that_others_can_not_run_is_said(home):
    home.mkdir(mode=0o755)
    script = home / "python"
    script.write_text("#!/bin/sh\necho 'no such user here' >&2; exit 1\n")
    script.chmod(0o755)
    why = why_no_own_uid(home, script)
    assert ("no such user here" in why) is ROOT
    assert why
    script.chmod(0o600)
    assert why_no_own_uid(home, script)


async def test_a_volume_of_another_owner_is_refused(yard):
    mounts = (Mount("ckpt", "volume", "CKPT_DIR", volume="ckpt/shared"),)
    handle = await yard.runtime.launch(yard.spec("pass", mounts=mounts))
    await yard.until(handle, EXITED)
    spec = LaunchSpec("job-2", "user-b", (PYTHON, "-c", "pass"), mounts=mounts)
    if yard.runtime.capabilities.own_uid:
        with pytest.raises(LaunchFailed, match="somebody else"):
            await yard.runtime.launch(spec)
    else:
        await yard.until(await yard.runtime.launch(spec), EXITED)
        assert yard.runtime.notes


async def test_what_its_user_can_not_reach_fails_the_launch_with_the_folder(yard, home):
    hidden = home.parent / "hidden"
    (hidden / "data").mkdir(parents=True)
    hidden.chmod(0o700)
    spec = yard.spec("pass", mounts=(Mount("dataset", "staged", "DATA_DIR", source=hidden / "data"),))
    if yard.runtime.capabilities.own_uid:
        with pytest.raises(LaunchFailed, match="hidden"):
            await yard.runtime.launch(spec)
    else:
        assert (await yard.until(await yard.runtime.launch(spec), EXITED)).exit_code == 0


async def test_whatever_it_left_is_removed(yard, home):
    outside = home.parent / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    code = (
        f"import os; os.makedirs('a/b'); open('a/b/c', 'w').close(); os.symlink('{outside}', 'link')\n"
        "os.mkfifo('pipe'); os.chmod('a/b', 0); os.chmod('a', 0)"
    )
    handle = await yard.runtime.launch(yard.spec(code, mounts=OUT, working_mount="results"))
    assert (await yard.until(handle, EXITED)).exit_code == 0
    await yard.runtime.remove(handle)
    assert list(yard.runtime.workloads.iterdir()) == []
    assert (outside / "kept").exists()


async def test_a_refused_launch_leaves_nothing(yard):
    for command in ((), (PYTHON, "-c", "a\0b")):
        with pytest.raises(Invalid) as caught:
            await yard.runtime.launch(LaunchSpec("job-1", "user-a", command))
        assert caught.value.code == "bad_command"
    with pytest.raises(LaunchFailed):
        await yard.runtime.launch(LaunchSpec("job-1", "user-a", ("no-such-program",)))
    assert list(yard.runtime.workloads.iterdir()) == []


async def test_launch_before_start_is_a_mistake(home):
    with pytest.raises(RuntimeError, match="start"):
        await Yard(home).runtime.launch(Yard.spec())


async def test_a_log_limit_on_exactly_the_last_byte_cuts_nothing(yard):
    handle = await yard.runtime.launch(yard.spec("print('12345')", limits=Limits(log_bytes=6)))
    await yard.until(handle, EXITED)
    assert (yard.folder() / "log").read_text() == "12345\n"


async def test_a_limited_log_is_there_while_it_runs(yard):
    handle = await yard.runtime.launch(yard.spec(limits=Limits(log_bytes=1000)))
    await until_up(yard)
    assert (await yard.runtime.observe(handle)).state is RUNNING
