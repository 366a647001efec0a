"""What a workload finds around it: mounts, environment, devices, a port, and the limits that a runtime declares."""

from __future__ import annotations

import json
import os
import urllib.request

import pytest

from common.kernel.errors import Invalid, NotFound, Problem
from common.ports.runtime import Limits, Mount, WorkloadState

EXITED, RUNNING = WorkloadState.EXITED, WorkloadState.RUNNING
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
OUT = (Mount("results", "scratch", "RESULT_DIR"),)


async def test_mounts_are_told_by_variable_and_placeholder(bench):
    data = bench.folder("data", **{"a.txt": "hello"})
    mounts = (Mount("dataset", "staged", "DATA_DIR", source=data), *OUT)
    code = (
        "import os, sys\n"
        "print(os.environ['DATA_DIR'] == sys.argv[1], os.environ['WHERE'], open(sys.argv[1] + '/a.txt').read())"
    )
    spec = bench.spec(
        bench.python, "-c", code, "{dataset}", '{"json": 1}',
        mounts=mounts, environment={"WHERE": "{dataset}/x {unknown}"},
    )  # fmt: skip
    seen, log = await bench.run(spec)
    assert seen.exit_code == 0, log
    same, where, _, text = log.split()
    assert (same, text) == ("True", "hello")
    assert where.endswith("/x")
    assert "{unknown}" in log


async def test_the_working_mount_is_where_it_starts(bench):
    code = bench.folder("code", **{"main.py": "print('from main')"})
    spec = bench.spec(
        bench.python, "main.py", mounts=(Mount("code", "staged", "CODE_DIR", source=code),), working_mount="code"
    )
    seen, log = await bench.run(spec)
    assert (seen.exit_code, log) == (0, "from main\n")


async def test_staged_mounts_are_read_only_where_that_is_declared(bench):
    data = bench.folder("data", **{"a.txt": "hello"})
    code = (
        "import os\ntry: open(os.environ['DATA_DIR'] + '/a.txt', 'w')\n"
        "except OSError: print('refused')\nelse: print('written')"
    )
    _, log = await bench.run(bench.code(code, mounts=(Mount("dataset", "staged", "DATA_DIR", source=data),)))
    assert log == ("refused\n" if bench.runtime.capabilities.read_only_mounts else "written\n")


@pytest.mark.row("D11")
async def test_what_is_not_the_platform_s_is_written_to_only_where_that_is_meant(bench):
    lab, notes = bench.folder("lab", **{"a.txt": "lab"}), bench.folder("notes", **{"a.txt": "notes"})
    notes.chmod(0o777)
    code = (
        "import os, pathlib\n"
        "for name in ('lab', 'notes'):\n"
        "    folder = pathlib.Path(os.environ['MOUNT_DIR'], name)\n"
        "    print((folder / 'a.txt').read_text())\n"
        "    try: (folder / 'new').write_text('x')\n"
        "    except OSError: print('refused')\n"
        "    else: print('written')\n"
    )
    mounts = (Mount("lab", "staged", "", source=lab), Mount("notes", "shared", "", source=notes))
    _, log = await bench.run(bench.code(code, mounts=mounts))
    kept = "refused" if bench.runtime.capabilities.read_only_mounts else "written"
    assert log.split() == ["lab", kept, "notes", "written"]
    assert (notes / "new").read_text() == "x"


@pytest.mark.row("T17")
async def test_outputs_are_listed_and_read(bench):
    code = (
        "import os; os.chdir(os.environ['RESULT_DIR']); os.makedirs('a/b')\n"
        "open('model.bin', 'wb').write(bytes(range(256)) * 4096); open('a/b/果.txt', 'w').write('x')"
    )
    handle = await bench.runtime.launch(bench.code(code, mounts=OUT))
    await bench.until(handle, EXITED)
    listed = {output.path: output.size for output in await bench.runtime.outputs(handle, "results")}
    assert listed == {"a/b/果.txt": 1, "model.bin": 1 << 20}
    assert await bench.read(handle, "results", "model.bin") == bytes(range(256)) * 4096
    assert await bench.read(handle, "results", "model.bin", offset=(1 << 20) - 2) == b"\xfe\xff"
    assert await bench.read(handle, "results", "a/b/果.txt") == b"x"


async def test_outputs_are_read_while_it_runs(bench):
    code = (
        "import os, time; open(os.environ['RESULT_DIR'] + '/m', 'w').write('1')\n"
        "print('up', flush=True); time.sleep(600)"
    )
    handle = await bench.runtime.launch(bench.code(code, mounts=OUT))
    await bench.until_log(handle, "up")
    assert await bench.read(handle, "results", "m") == b"1"


async def test_links_and_odd_names_lead_nowhere(bench):
    secret = bench.folder("secret", key="hidden")
    code = (
        f"import os; os.chdir(os.environ['RESULT_DIR'])\n"
        f"os.symlink('{secret}/key', 'file'); os.symlink('{secret}', 'dir')\n"
        "os.mkfifo('pipe'); open('real', 'w').write('ok')"
    )
    handle = await bench.runtime.launch(bench.code(code, mounts=OUT))
    await bench.until(handle, EXITED)
    assert [output.path for output in await bench.runtime.outputs(handle, "results")] == ["real"]
    for path in ("file", "dir/key", "pipe", "../log", "/etc/hostname", "", ".", "real/x", "./real", "a//b", "no\0"):
        with pytest.raises(NotFound) as caught:
            await bench.read(handle, "results", path)
        assert caught.value.code == "output_not_found"
    with pytest.raises(NotFound):
        await bench.runtime.outputs(handle, "nothing")


async def test_volumes_outlive_workloads(bench):
    mounts = (Mount("ckpt", "volume", "CKPT_DIR", volume="ckpt/job-1"),)
    handle = await bench.runtime.launch(
        bench.code("import os; open(os.environ['CKPT_DIR'] + '/c', 'w').write('7')", mounts=mounts)
    )
    await bench.until(handle, EXITED)
    await bench.runtime.remove(handle)
    _, log = await bench.run(bench.code("import os; print(open(os.environ['CKPT_DIR'] + '/c').read())", mounts=mounts))
    assert log == "7\n"


@pytest.mark.parametrize(
    "mount",
    [
        Mount("ckpt", "volume", "CKPT_DIR", volume="../x"),
        Mount("ckpt", "volume", "CKPT_DIR", volume="/etc"),
        Mount("ckpt", "volume", "CKPT_DIR"),
        Mount("../up", "scratch", "UP"),
        Mount("data", "staged", "DATA"),
    ],
)
async def test_mounts_that_lead_elsewhere_are_refused(bench, mount):
    with pytest.raises(Invalid) as caught:
        await bench.runtime.launch(bench.code("pass", mounts=(mount,)))
    assert caught.value.code == "bad_mount"


async def test_what_was_staged_and_vanished_fails_the_launch(bench):
    mount = Mount("dataset", "staged", "DATA_DIR", source=bench.root / "nowhere")
    with pytest.raises(Problem) as caught:
        await bench.runtime.launch(bench.code("pass", mounts=(mount,)))
    assert caught.value.code == "launch_failed"


async def test_the_environment_is_its_own(bench, monkeypatch):
    monkeypatch.setenv("PLATFORM_SECRET", "canary")
    _, log = await bench.run(bench.code(SHOW, environment={"EPOCHS": "3"}))
    seen = json.loads(log)
    assert seen["EPOCHS"] == "3"
    assert "PLATFORM_SECRET" not in seen
    assert seen["LANG"] == "C.UTF-8"
    assert {"HOME", "PATH", "TMPDIR"} <= set(seen)


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "PYTHONPATH", "PYTHONSTARTUP", "http_proxy", "HTTPS_PROXY", "A=B", "", "1A", "BASH_ENV"]
)
async def test_variables_that_steer_the_platform_are_refused(bench, name):
    with pytest.raises(Invalid) as caught:
        await bench.runtime.launch(bench.code("pass", environment={name: "x", "GOOD": "y"}))
    assert caught.value.code == "bad_environment"
    assert [fault.where for fault in caught.value.faults] == [f"environment.{name}"]


@pytest.mark.parametrize(
    ("devices", "cuda", "ascend"), [((), "", ""), (("gpu-2", "gpu-0"), "2,0", ""), (("npu-7",), "", "7")]
)
async def test_exactly_the_allocated_devices_are_shown(bench, devices, cuda, ascend):
    _, log = await bench.run(bench.code(SHOW, devices=devices, environment={"CUDA_VISIBLE_DEVICES": "9"}))
    found = json.loads(log)
    assert (found["CUDA_VISIBLE_DEVICES"], found["ASCEND_VISIBLE_DEVICES"]) == (cuda, ascend)


async def test_a_cpu_limit_sets_the_number_of_threads(bench):
    _, log = await bench.run(bench.code(SHOW, limits=Limits(cpu=1.5)))
    assert json.loads(log)["OMP_NUM_THREADS"] == "2"


@pytest.mark.row("S5")
async def test_a_port_is_given_and_answers(bench):
    code = (
        "import http.server, os\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'ready')\n"
        "s = http.server.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), H)\n"
        "print('up', flush=True); s.serve_forever()"
    )
    handles = [await bench.runtime.launch(bench.code(code, port=True)) for _ in range(2)]
    for handle in handles:
        await bench.until_log(handle, "up")
    addresses = [(await bench.seen(handle)).address for handle in handles]
    assert len(set(addresses)) == 2
    for address in addresses:
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.read() == b"ready"
    await bench.restart()
    assert [(await bench.seen(handle)).address for handle in handles] == addresses


async def test_without_a_port_there_is_no_address(bench):
    seen, log = await bench.run(bench.code(SHOW))
    assert seen.address is None
    assert "PORT" not in json.loads(log)


async def test_memory_is_limited_where_that_is_declared(bench):
    code = "x = bytearray(300 << 20); print('had it')"
    seen, log = await bench.run(bench.code(code, limits=Limits(memory=64 << 20)))
    if bench.runtime.capabilities.memory_limit:
        assert (seen.cause, log) == ("out_of_memory", "")
    else:
        assert (seen.cause, log) == ("exit", "had it\n")


async def test_within_its_memory_it_is_left_alone(bench):
    seen, log = await bench.run(bench.code("x = bytearray(20 << 20); print('had it')", limits=Limits(memory=256 << 20)))
    assert (seen.cause, seen.exit_code, log) == ("exit", 0, "had it\n")


async def test_processes_are_limited_where_that_is_declared(bench):
    code = (
        "import os, time\n"
        "made = 0\n"
        "try:\n"
        "    for _ in range(60):\n"
        "        if os.fork() == 0: time.sleep(600)\n"
        "        made += 1\n"
        "except OSError: pass\n"
        "print(made)"
    )
    _, log = await bench.run(bench.code(code, limits=Limits(pids=20)))
    assert (int(log) < 20) is bench.runtime.capabilities.pids_limit


async def test_cpu_is_limited_where_that_is_declared(bench):
    code = "import time\nend = time.monotonic() + 1\nwhile time.monotonic() < end: pass\nprint(time.process_time())"
    _, log = await bench.run(bench.code(code, limits=Limits(cpu=0.1)))
    if bench.runtime.capabilities.cpu_limit:
        assert float(log) < 0.5
    else:
        assert float(log) > 0.1


async def test_owners_are_kept_apart_where_that_is_declared(bench):
    handle = await bench.runtime.launch(
        bench.code(
            "import os; open('mine', 'w').write('s'); print(os.getuid(), os.getcwd())",
            owner="user-a",
            mounts=OUT,
            working_mount="results",
        )
    )
    await bench.until(handle, EXITED)
    uid, where = (await bench.log(handle)).split()
    code = f"import os\nprint(os.getuid())\ntry: print(open('{where}/mine').read())\nexcept OSError: print('refused')"
    _, log = await bench.run(bench.code(code, owner="user-b"))
    other, answer = log.split()
    if bench.runtime.capabilities.own_uid:
        assert uid != other
        assert "0" not in (uid, other)
        assert answer == "refused"
    else:
        assert uid == other == str(os.getuid())


async def test_an_image_is_refused_where_none_can_be_run(bench):
    spec = bench.code("pass", image="registry.example/one@sha256:" + "0" * 64)
    if not bench.runtime.capabilities.images:
        with pytest.raises(Problem) as caught:
            await bench.runtime.launch(spec)
        assert caught.value.code == "launch_failed"


async def test_the_network_is_cut_off_only_where_that_is_declared(bench):
    code = "import socket, sys\ns = socket.socket(); s.bind(('127.0.0.1', 0)); print('bound')"
    _, log = await bench.run(bench.code(code))
    assert bench.runtime.capabilities.network_isolation is False or log == "bound\n"
