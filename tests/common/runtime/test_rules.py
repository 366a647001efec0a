"""The pure parts of the process runtime: environment, launch file, ports, and reading beneath a folder."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from common.kernel.accelerators import device_variables
from common.kernel.errors import Invalid, Problem, Unavailable
from common.ports.runtime import WorkloadState
from common.runtime.docker import DockerRuntime
from common.runtime.environment import check_environment
from common.runtime.process import ProcessRuntime, ending, outputs, ports, supervisor
from common.runtime.process.folder import Folder, check_id
from common.runtime.process.folders import Folders
from common.runtime.process.plan import launch_words

from .conftest import Yard

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
WORDS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40)
STEERING = ("LD_", "PYTHON", "DYLD_")


def refusal(call: Callable[[], object]) -> Problem | None:
    """The problem that a call raises, if it does."""
    try:
        call()
    except Problem as problem:
        return problem
    return None


@given(st.dictionaries(NAMES, WORDS))
def test_what_is_accepted_steers_nothing(environment):
    refused = refusal(lambda: check_environment(environment))
    if refused is None:
        assert not any(name.upper().startswith(STEERING) for name in environment)
        assert not any(name.upper().endswith("PROXY") for name in environment)
    else:
        assert refused.code == "bad_environment"
        assert {fault.where.removeprefix("environment.") for fault in refused.faults} <= set(environment)


@given(st.text(max_size=10).filter(lambda name: not name.isidentifier() or not name.isascii()))
def test_what_is_no_name_is_refused(name):
    with pytest.raises(Invalid):
        check_environment({name: "x"})


def test_every_fault_is_told_at_once():
    with pytest.raises(Invalid) as caught:
        check_environment({"LD_PRELOAD": "x", "1": "x", "FINE": "x", "NUL": "a\0b"})
    assert len(caught.value.faults) == 3


@given(
    st.lists(WORDS, min_size=1, max_size=6),
    st.dictionaries(NAMES, WORDS, max_size=6),
    st.sampled_from([[], ["/sys/fs/cgroup/memory/x"]]),
)
def test_the_supervisor_reads_what_the_platform_wrote(command, environment, groups):
    settled = {
        "exe": "/bin/x", "cwd": "/tmp", "command": command, "environment": environment, "uid": 7, "nproc": 0,
        "grace": 10.0, "seconds": 0, "log_bytes": 0, "groups": groups, "settings": ["/a/b=1"], "oom": [],
        "mounts": {"results": {"kind": "scratch", "path": "/r"}, "data": {"kind": "staged", "path": "/d"}},
    }  # fmt: skip
    plan = supervisor.parse_plan(launch_words(settled))
    assert plan["arg"] == command
    assert dict(pair.split("=", 1) for pair in plan.get("env", [])) == environment
    assert plan.get("cgroup", []) == groups
    assert plan["disk"] == [".", "/r"]
    assert supervisor.one(plan, "uid") == "7"
    assert supervisor.one(plan, "absent", "3") == "3"


@given(st.sets(st.integers(0, 63)), st.sets(st.integers(0, 63)))
def test_devices_are_shown_exactly(gpus, npus):
    shown = device_variables(tuple(f"gpu-{i}" for i in sorted(gpus)) + tuple(f"npu-{i}" for i in sorted(npus)))
    for name, numbers in (("CUDA_VISIBLE_DEVICES", gpus), ("ASCEND_VISIBLE_DEVICES", npus)):
        assert {int(number) for number in shown[name].split(",") if number} == numbers
    assert shown["ASCEND_RT_VISIBLE_DEVICES"] == shown["ASCEND_VISIBLE_DEVICES"]


def test_ports_are_free_and_outside_the_ephemeral_range():
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    first = ports.free_port(())
    assert not low <= first <= high
    with socket.socket() as held:
        held.bind(("127.0.0.1", first))
        held.listen()
        assert not ports._is_free(first)
        assert ports.free_port((first,)) != first


def test_when_every_port_is_taken_it_is_said():
    with pytest.raises(Unavailable) as caught:
        ports.free_port(range(65536))
    assert caught.value.code == "no_port"


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    root: Path = tmp_path_factory.mktemp("tree") / "results"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "c").write_text("inside")
    (root.parent / "outside").write_text("outside")
    (root / "up").symlink_to("..")
    (root / "a" / "abs").symlink_to("/")
    return root


@given(
    path=st.lists(st.sampled_from(["a", "b", "c", "up", "abs", "..", ".", "", "outside", "etc", "\0"])).map("/".join)
)
def test_no_path_leads_out(tree, path):
    opened: list[int] = []
    refused = refusal(lambda: opened.append(outputs.open_output(tree, path)))
    if refused is None:
        content = os.read(opened[0], 100)
        os.close(opened[0])
        assert (path, content) == ("a/b/c", b"inside")
    else:
        assert refused.code == "output_not_found"


def test_only_regular_files_are_listed(tree):
    assert [(output.path, output.size) for output in outputs.list_outputs(tree)] == [("a/b/c", 6)]


async def test_chunks_close_what_they_read(tree):
    fd = outputs.open_output(tree, "a/b/c")
    assert [chunk async for chunk in outputs.chunks(fd, 2)] == [b"side"]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


@given(st.text(max_size=30))
def test_an_accepted_id_is_one_plain_folder(workload):
    refused = refusal(lambda: check_id(workload))
    if refused is None:
        assert Path(workload).name == workload
        assert workload not in (".", "..")
    else:
        assert refused.code == "bad_workload"


def test_of_many_specs_the_first_holds(tmp_path):
    folder = Folder(tmp_path, "job-1")
    folder.path.mkdir()
    assert folder.settle({"n": 0}) == {"n": 0}
    assert [folder.settle({"n": i}) for i in range(1, 4)] == [{"n": 0}] * 3
    assert [path.name for path in folder.path.iterdir()] == ["spec.json"]


def test_a_record_takes_the_room_that_was_kept_for_it(tmp_path):
    folder = Folder(tmp_path, "job-1")
    folder.path.mkdir()
    folder.prepare(b"")
    kept = (folder.path / "exit.json.tmp").stat()
    assert kept.st_size == 4096
    folder.record("exit.json", {"cause": "exit"})
    assert (folder.path / "exit.json").stat().st_ino == kept.st_ino
    assert folder.read("exit.json") == {"cause": "exit"}
    folder.prepare(b"")
    assert not folder.has("exit.json.tmp")


def test_it_runs_in_the_event_loop_of_the_server(home):
    """uvloop watches pipes and pidfds as asyncio does: the start and the end wake, without waiting for a timer."""

    async def run() -> list[str]:
        yard = Yard(home)
        await yard.runtime.start()
        woken: list[str] = []
        yard.runtime.on_change(woken.append)
        handle = await yard.runtime.launch(yard.spec("pass"))
        await yard.until(handle, WorkloadState.EXITED)
        async with asyncio.timeout(60):
            while len(woken) < 2:
                await asyncio.sleep(0.005)
        await yard.close()
        return woken

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == ["job-1", "job-1"]


@pytest.mark.parametrize(
    ("there", "entered"), [(("tasks", "cgroup.procs"), "tasks"), (("cgroup.procs",), "cgroup.procs")]
)
def test_a_control_group_is_entered_without_waiting_for_all_processors_where_that_can_be(
    tmp_path: Path, there: tuple[str, ...], entered: str
) -> None:
    for name in there:
        (tmp_path / name).touch()
    supervisor.enter(str(tmp_path))
    assert [name for name in there if (tmp_path / name).read_text() == "0"] == [entered]


def test_what_is_left_is_asked_of_the_control_group_unless_the_workload_is_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen(["true"])
    while ending.lives(gone.pid):
        os.sched_yield()
    with subprocess.Popen(["sleep", "60"]) as left:
        (tmp_path / "cgroup.procs").write_text(f"{left.pid}\n{gone.pid}\n{os.getpid()}\n")
        plan = {"cgroup": [str(tmp_path)], "uid": ["200001"]}
        assert ending.rest(plan) == {left.pid}, "neither one that has ended nor the supervisor"
        monkeypatch.setattr(ending, "tree", lambda *_: {1})
        assert ending.rest({**plan, "uid": ["0"]}) == ending.rest({"uid": ["200001"]}) == {1}
        left.kill()
    gone.wait()


@pytest.mark.parametrize("runtime", [ProcessRuntime, DockerRuntime])
async def test_a_workload_that_is_being_removed_is_none_any_more(runtime, tmp_path):
    made = runtime(tmp_path)
    for name in ("job-1", ".removed-job-0"):
        (made.workloads / name).mkdir(parents=True)
        (made.workloads / name / "spec.json").touch()
    assert [handle["workload"] for handle in await made.handles()] == ["job-1"]


def test_what_was_settled_is_read_once_and_anew_where_it_is_another(tmp_path, monkeypatch):
    folders, reads = Folders(tmp_path), list[str]()
    folder = folders.of("job-1")
    assert folders.settled(folder) is None
    read = Folder.read

    def noted(self: Folder, name: str) -> dict[str, Any] | None:
        reads.append(name)
        return read(self, name)

    monkeypatch.setattr(Folder, "read", noted)
    folder.path.mkdir(parents=True)
    folder.settle({"port": 1})
    assert [folders.settled(folder) for _ in range(3)] == [{"port": 1}] * 3
    assert reads == ["spec.json"]
    folder.file("spec.json").unlink()
    folder.settle({"port": 2})
    assert folders.settled(folder) == {"port": 2}
    folder.file("spec.json").unlink()
    assert folders.settled(folder) is None
