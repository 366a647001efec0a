"""What Docker is told, as Docker itself tells it back, and what a workload can't do with it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from common.docker import Daemon
from common.inventory import DaemonInventory
from common.kernel.errors import Problem
from common.ports.runtime import Limits, Mount, WorkloadState
from common.runtime.docker import DockerRuntime, DockerSettings, observing
from tests.contracts.runtime.conftest import Bench, clear

EXITED, RUNNING = WorkloadState.EXITED, WorkloadState.RUNNING
WAIT = "import time; print('up', flush=True); time.sleep(600)"
OUT = Mount("results", "scratch", "RESULT_DIR")


async def told(bench, docker, **fields):
    spec = bench.code(WAIT, **fields)
    handle = await bench.runtime.launch(spec)
    await bench.until_log(handle, "up")
    return json.loads(docker.run_client("inspect", spec.workload))[0]


async def test_a_container_may_do_no_more_than_it_must(bench, docker):
    data = bench.folder("data", **{"a.txt": "x"})
    seen = await told(
        bench,
        docker,
        mounts=(
            Mount("dataset", "staged", "DATA_DIR", source=data),
            OUT,
            Mount("ckpt", "volume", "C", volume="ckpt/1"),
        ),
        limits=Limits(cpu=0.5, memory=256 << 20, pids=50),
    )
    host = seen["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"], host["Privileged"]) == (["ALL"], None, False)
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["ReadonlyRootfs"], host["Init"], host["RestartPolicy"]["Name"]) == (True, True, "no")
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (256 << 20, 256 << 20, 5e8, 52)
    assert (host["IpcMode"], host["PidMode"], host["UTSMode"], host["UsernsMode"]) == ("private", "", "", "")
    assert not host["Binds"]
    assert not host["Devices"]
    assert not host["PortBindings"]
    uid = int(seen["Config"]["User"].split(":")[0])
    assert uid >= 200_000
    writable = {mount["Destination"]: mount["RW"] for mount in seen["Mounts"]}
    assert writable == {
        "/yard/in": False, "/yard/run": True, "/home/yard": True,
        "/dataset": False, "/model": True, "/cache/output": True, "/ckpt": True,
    }  # fmt: skip
    assert all(mount["Source"].startswith(str(bench.root)) for mount in seen["Mounts"])


async def test_inside_it_has_no_rights_and_nothing_of_the_system_to_write(bench):
    code = (
        "import os\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status') if ':' in line)\n"
        "print(*(int(status[name], 16) for name in ('CapPrm', 'CapEff', 'CapBnd', 'CapAmb')), end=' ')\n"
        "print(status['NoNewPrivs'].strip())\n"
        "for path in ('/x', '/etc/x', '/yard/in/x', '/dev/x', '/proc/sys/kernel/hostname', '/sys/x'):\n"
        "    try: open(path, 'w')\n"
        "    except OSError: pass\n"
        "    else: print('wrote', path)\n"
        "open('/tmp/x', 'w').write('y'); open(os.environ['HOME'] + '/x', 'w').write('y')\n"
        "print(os.path.exists('/var/run/docker.sock'))"
    )
    seen, log = await bench.run(bench.code(code))
    assert (seen.exit_code, log) == (0, "0 0 0 0 1\nFalse\n")


async def test_the_contracts_paths_are_where_it_says(bench):
    show = "import os, sys; print(os.getcwd(), sys.argv[1], os.environ['DATA_DIR'])\n"
    code = bench.folder("code", **{"main.py": show + "open('/cache/output/m', 'w').write('1')"})
    data = bench.folder("data", **{"a.txt": "x"})
    mounts = (
        Mount("code", "staged", "YARD_CODE_DIR", source=code), Mount("dataset", "staged", "DATA_DIR", source=data), OUT,
    )  # fmt: skip
    spec = bench.spec("python3", "main.py", "{results}", mounts=mounts, working_mount="code")
    handle = await bench.runtime.launch(spec)
    await bench.until(handle, EXITED)
    assert await bench.log(handle) == "/code /model /dataset\n"
    assert await bench.read(handle, "results", "m") == b"1"


async def test_a_folder_that_lies_elsewhere_is_never_mounted(bench, tmp_path):
    (bench.root / "link").symlink_to("/etc")
    for source in (tmp_path, bench.root / "link", bench.root / ".." / ".."):
        with pytest.raises(Problem) as caught:
            await bench.runtime.launch(bench.code("pass", mounts=(Mount("dataset", "staged", "D", source=source),)))
        assert caught.value.code == "launch_failed"
        assert "may be mounted" in caught.value.detail


async def test_two_owners_and_the_machine_are_out_of_reach(bench, docker):
    """Not the machine's servers on whatever address of its own, not another owner's replica, nor what lies beyond."""
    serve = (
        "import http.server, os; handler = http.server.SimpleHTTPRequestHandler; "
        "server = http.server.HTTPServer(('', int(os.environ['PORT'])), handler); "
        "print('up', flush=True); server.serve_forever()"
    )
    theirs = await bench.runtime.launch(bench.code(serve, owner="user-b", port=True))
    mine = await bench.runtime.launch(bench.code(serve, owner="user-a", port=True))
    await bench.until_log(theirs, "up")
    await bench.until_log(mine, "up")
    addresses = [(await bench.seen(one)).address for one in (theirs, mine)]
    network = json.loads(docker.run_client("network", "inspect", bench.runtime._networks.name("user-a")))[0]
    bridge = network["IPAM"]["Config"][0].get("Gateway") or addresses[1].split("/")[2].rsplit(".", 1)[0] + ".1"
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        mine_host = socket.gethostbyname(socket.gethostname())
        targets = [(bridge, port), ("127.0.0.1", port), (mine_host, port), (f"{docker.subnet}.255.1", port)]
        their_host, _, their_port = addresses[0].removeprefix("http://").partition(":")
        targets += [(their_host, int(their_port)), ("1.1.1.1", 53)]
        own_host, _, own_port = addresses[1].removeprefix("http://").partition(":")
        code = (
            f"import socket\nmine = ({own_host!r}, {own_port})\nfor target in {targets!r} + [mine]:\n"
            "    seconds = 20 if target == mine else 0.5\n"
            "    try: socket.create_connection(target, seconds); print('reached', target[0])\n"
            "    except OSError: print('no')\n"
            "try: print(socket.gethostbyname('deb.debian.org'))\n"
            "except OSError: print('no')"
        )
        _, log = await bench.run(bench.code(code, owner="user-a"))
    assert log.split("\n")[:-1] == ["no"] * 6 + [f"reached {own_host}", "no"]


async def test_what_it_writes_about_itself_is_not_believed_while_it_runs(bench):
    code = (
        "import json, os, time\n"
        "os.chdir('/yard/run')\n"
        "open('exit.json', 'w').write(json.dumps({'cause': 'exit', 'exit_code': 0, 'ended_at': 0, 'usage': {}}))\n"
        "print('up', flush=True); time.sleep(600)"
    )
    handle = await bench.runtime.launch(bench.code(code))
    await bench.until_log(handle, "up")
    assert (await bench.seen(handle)).state is RUNNING


async def test_links_in_its_own_folder_lead_the_platform_nowhere(bench):
    secret = bench.folder("secret", key="hidden")
    code = (
        "import os, signal, time\n"
        "os.chdir('/yard/run'); os.remove('log'); os.remove('stop')\n"
        f"os.symlink('{secret}/key', 'log'); os.symlink('{secret}/key', 'exit.json')\n"
        f"os.symlink('{secret}/key', 'stop')\n"
        "os.kill(os.getppid(), 9); time.sleep(600)"
    )
    handle = await bench.runtime.launch(bench.code(code))
    seen = await bench.until(handle, EXITED, WorkloadState.LOST)
    assert seen.state is WorkloadState.LOST
    assert await bench.log(handle) == ""
    await bench.runtime.stop(handle)
    assert (secret / "key").read_text() == "hidden"


async def test_a_supervisor_that_is_stopped_is_killed_from_outside(bench, monkeypatch):
    monkeypatch.setattr("common.runtime.docker.observing.LATE", 0.2)
    code = "import os, time; os.kill(os.getppid(), 19); print('up', flush=True); time.sleep(600)"
    handle = await bench.runtime.launch(bench.code(code))
    await bench.until_log(handle, "up")
    await bench.runtime.stop(handle, grace=0.1)
    seen = await bench.until(handle, EXITED)
    assert seen.cause == "stopped"


async def test_memory_beyond_the_limit_shows_also_where_the_supervisor_died_of_it(bench):
    spec = bench.code("pass")
    handle = await bench.runtime.launch(spec)
    await bench.until(handle, EXITED)
    records = bench.runtime._records(handle)
    records.own.file("exit.json").unlink()
    state: dict[str, object] = {"StartedAt": "2026-01-01T00:00:00.5Z", "FinishedAt": "2026-01-01T00:00:01Z"}
    state |= {"ExitCode": 137, "OOMKilled": True}
    end = observing.ending(records.spec(), {"State": state}, records, None)
    assert (end["cause"], end["exit_code"], end["ended_at"] - end["started_at"]) == ("out_of_memory", 137, 0.5)


async def test_an_image_without_python_says_so(bench, docker):
    name = "modelyard-test/bare:1"
    docker.run_client("run", "--name", "bare", docker.base(), "rm", "-rf", "/usr/bin/python3", "/usr/bin/python")
    docker.run_client("commit", "bare", name)
    docker.run_client("rm", "bare")
    seen, _ = await bench.run(bench.code("pass", image=name))
    assert seen.cause == "launch_failed"
    assert "Python 3.11" in seen.detail


async def test_an_image_without_a_shell_says_so(bench, docker, tmp_path):
    name = "modelyard-test/scratch:1"
    with tarfile.open(tmp_path / "scratch.tar", "w") as image:
        image.addfile(tarfile.TarInfo("nothing-else"))
    docker.run_client("import", str(tmp_path / "scratch.tar"), name)
    seen, _ = await bench.run(bench.code("pass", image=name))
    assert seen.cause == "launch_failed"
    assert "its image has no /bin/sh" in seen.detail


async def test_an_image_that_cannot_be_had_says_so(bench):
    with pytest.raises(Problem) as caught:
        await bench.runtime.launch(bench.code("pass", image="localhost:1/nothing@sha256:" + "0" * 64))
    assert caught.value.code == "launch_failed"
    assert "localhost:1/nothing" in caught.value.detail


async def test_a_name_that_is_taken_is_not_ours(bench, docker):
    spec = bench.code("pass")
    docker.run_client("create", "--name", spec.workload, docker.base(), "true")
    with pytest.raises(Problem) as caught:
        await bench.runtime.launch(spec)
    assert caught.value.code == "launch_failed"
    assert docker.run_client("ps", "-aq", "--filter", f"name={spec.workload}")
    docker.run_client("rm", spec.workload)


async def test_the_id_alone_finds_it_after_a_restart(bench):
    spec = bench.code(WAIT)
    await bench.runtime.launch(spec)
    await bench.restart()
    handle = {"workload": spec.workload}
    await bench.until(handle, RUNNING)
    await bench.until_log(handle, "up")
    await bench.runtime.stop(handle, grace=0)
    assert (await bench.until(handle, EXITED)).cause == "stopped"


async def test_a_container_whose_folder_is_gone_is_taken_away(bench, docker):
    spec = bench.code(WAIT)
    handle = await bench.runtime.launch(spec)
    await bench.until(handle, RUNNING)
    shutil.rmtree(bench.runtime.workloads / spec.workload)
    await bench.restart()
    async with asyncio.timeout(60):
        while docker.run_client("ps", "-aq", "--filter", f"name={spec.workload}"):
            await asyncio.sleep(0.05)


async def test_an_owner_s_network_lies_beside_whatever_else_this_machine_has_a_way_to(bench, docker):
    """Another engine takes the same first choice for the same owner, which Docker's own check doesn't see."""
    before = await told_subnet(bench, docker, bench.code(WAIT))
    await bench.runtime.give_up()
    told_by("ip", "route", "add", before, "dev", docker.mark)
    try:
        after = await told_subnet(bench, docker, bench.code(WAIT))
    finally:
        told_by("ip", "route", "delete", before, "dev", docker.mark)
    assert not IPv4Network(before).overlaps(IPv4Network(after))
    assert IPv4Network(after).subnet_of(IPv4Network(docker.pool))


async def told_subnet(bench, docker, spec):
    """The network that a workload is in, once it has ended and is gone."""
    handle = await bench.runtime.launch(spec)
    (network,) = json.loads(docker.run_client("inspect", spec.workload))[0]["NetworkSettings"]["Networks"]
    await bench.runtime.stop(handle, grace=0)
    await bench.until(handle, EXITED)
    await bench.runtime.remove(handle)
    told: str = json.loads(docker.run_client("network", "inspect", network))[0]["IPAM"]["Config"][0]["Subnet"]
    return told


def told_by(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_where_gateways_are_containers_only_they_reach_it_and_the_machine_has_no_address(docker):
    root = Path(tempfile.mkdtemp(prefix="yard-docker-"))
    root.chmod(0o711)
    settings = DockerSettings(base_image=docker.base(), roots=(root,), pool=docker.pool, reached_by="gateway")
    made: list[DockerRuntime] = []

    def make(home):
        made.append(DockerRuntime(home, Daemon(docker.url), settings))
        return made[-1]

    bench = Bench(make, "python3", root)
    sleep = ("sleep", "600")
    docker.run_client("run", "-d", "--name", "gate", "--label", "modelyard.role=gateway", docker.base(), *sleep)
    try:
        await bench.open()
        serve = (
            "import http.server as h, os\n"
            "server = h.HTTPServer(('', int(os.environ['PORT'])), h.SimpleHTTPRequestHandler)\n"
            "print('up', flush=True); server.serve_forever()"
        )
        handle = await bench.runtime.launch(bench.code(serve, port=True))
        await bench.until_log(handle, "up")
        address = (await bench.seen(handle)).address
        ask = f"import urllib.request; print(urllib.request.urlopen({address!r}, timeout=20).status)"
        assert docker.run_client("exec", "gate", "python3", "-c", ask) == "200\n"
        bridge = f" {made[-1]._networks.interfaces}"
        assert bridge in told_by("ip", "-oneline", "link")
        assert bridge not in told_by("ip", "-oneline", "-4", "address")
        assert bench.runtime.capabilities.network_isolation
        docker.run_client("rm", "-f", "gate")
        docker.run_client("run", "-d", "--name", "gate", "--label", "modelyard.role=gateway", docker.base(), *sleep)
        async with asyncio.timeout(60):  # a gateway that comes later, or anew, is let in
            while docker.run_client("exec", "gate", "python3", "-c", ask, check=False) != "200\n":
                await asyncio.sleep(0.1)
        await bench.close()
    finally:
        docker.run_client("rm", "-f", "gate")
        await clear(bench.runtime)
        shutil.rmtree(root)


@pytest.mark.row("T9")
async def test_an_engine_tells_of_its_machine_and_of_no_accelerators_that_it_has_not(docker):
    daemon = Daemon(docker.url)
    inventory = DaemonInventory(daemon)
    try:
        (node,) = await inventory.nodes()
    finally:
        await daemon.close()
    assert node.cpu == os.cpu_count()
    assert node.memory > 1 << 28
    assert node.labels["os"] == "linux"
    assert (node.devices, inventory.problems) == ((), ())
