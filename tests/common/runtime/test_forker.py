"""Supervisors that were forked: as good as started ones, whatever becomes of who forked them."""

from __future__ import annotations

import asyncio
import os
import signal

from common.ports.runtime import WorkloadState
from common.runtime.process.ending import stat_fields
from tests.support.files import opened_by

RUNNING, EXITED = WorkloadState.RUNNING, WorkloadState.EXITED


def supervisor_of(yard, workload: str) -> int:
    return int(yard.runtime._folder({"workload": workload}).read("started")["pid"])


def parent_of(pid: int) -> int:
    fields = stat_fields(pid)
    assert fields is not None
    return int(fields[1])


async def forked(yard, name: str):
    """A running workload whose supervisor was forked; those before it are started while the forker gets ready."""
    for turn in range(200):
        handle = await yard.running(yard.spec(workload=f"{name}-{turn}"))
        if parent_of(supervisor_of(yard, f"{name}-{turn}")) != os.getpid():
            return handle
        await yard.runtime.stop(handle, grace=0)
        await asyncio.sleep(0.02)
    raise AssertionError("it never gets ready")


async def test_a_forked_one_has_a_session_of_its_own_and_nothing_of_who_forked_it(yard):
    handle = await forked(yard, "job")
    pid = supervisor_of(yard, handle["workload"])
    assert os.getsid(pid) == pid
    opened = opened_by(pid)
    assert not [target for target in opened if target.startswith("socket:")]
    await yard.runtime.stop(handle, grace=0)
    assert (await yard.until(handle, EXITED)).cause == "stopped"


async def test_killed_it_takes_nobody_along_and_another_takes_its_place(yard):
    handle = await forked(yard, "job")
    pid = supervisor_of(yard, handle["workload"])
    first = parent_of(pid)
    os.kill(first, signal.SIGKILL)
    later = await forked(yard, "later")
    assert parent_of(supervisor_of(yard, later["workload"])) != first
    assert (await yard.runtime.observe(handle)).state == RUNNING
    yard.woken.clear()
    await yard.runtime.stop(handle, grace=0)
    await asyncio.wait_for(yard.woken.wait(), 60)
    assert (await yard.until(handle, EXITED)).cause == "stopped"


async def test_stopped_it_is_waited_for_no_longer_than_that(yard, monkeypatch):
    monkeypatch.setattr("common.runtime.process.forking.PATIENCE_SECONDS", 0.3)
    handle = await forked(yard, "job")
    forker = parent_of(supervisor_of(yard, handle["workload"]))
    os.kill(forker, signal.SIGSTOP)
    try:
        out = yard.spec("import os, time; os.write(1, b'x'); time.sleep(0.5)", "twice")
        other = await yard.runtime.launch(out)
        await yard.until(other, RUNNING, EXITED)
    finally:
        os.kill(forker, signal.SIGCONT)
    await yard.until(other, EXITED)
    assert (yard.folder("twice") / "log").read_text() == "x", "the one that was forked late finds that it is started"


async def test_nothing_of_it_is_left_when_the_platform_ends(yard):
    handle = await forked(yard, "job")
    forker = parent_of(supervisor_of(yard, handle["workload"]))
    await yard.runtime.stop(handle, grace=0)
    await yard.until(handle, EXITED)
    await yard.runtime.close()
    assert stat_fields(forker) is None
