"""From the POST of a job to its process running, against spawning the same supervisor with the same command directly.

The process itself says when it began: its first line is the clock. Jobs run one after another on one platform, each
followed by a direct launch, so that a change of the machine's mood hits both.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.house import password, percentile, platform, row
from common.images import choose_interpreter
from common.kernel.clock import SystemClock
from common.kernel.ids import new_id
from common.ports.runtime import LaunchSpec, Limits, Mount, WorkloadState
from common.runtime.process import ProcessRuntime
from yard import Client

NAME = "submit"
JOBS = 60
QUIET_SECONDS = 0.25
P50_MS = 20.0
P99_MS = 80.0
CPU = 1.0
COMMAND = ("sh", "-c", "date +%s%N")


def run() -> list[dict]:
    """The extra milliseconds of a submitted job over a direct launch."""
    with platform() as (running, settings), Client(running.address) as client:
        client.login("admin", password(settings))
        job = prepare(client)
        submitted, direct = asyncio.run(interleaved(client, job))
    base = percentile(direct, 0.5)
    p50, p99 = percentile(submitted, 0.5) - base, percentile(submitted, 0.99) - base
    return [
        row("submit.p50", p50, "ms over direct", base, goal=f"<= {P50_MS:.0f} ms", met=p50 <= P50_MS),
        row("submit.p99", p99, "ms over direct", base, goal=f"<= {P99_MS:.0f} ms", met=p99 <= P99_MS),
    ]


def prepare(client: Client, command: Sequence[str] = COMMAND, device: str = "cpu") -> dict[str, Any]:
    """A tiny dataset and an algorithm that only runs that command; gives what the job is made from."""
    client.engines.create({"name": "plain", "framework": "python", "version": "3", "requirements": []})
    client.engines.build("plain")
    part = {"engine": "plain", "command": list(command), "devices": [device]}
    algorithm = client.algorithms.create(
        {"name": "clock", "purpose": "text/classification", "formats": ["dir"], "training": part}
    )
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        code.mkdir()
        (code / "main.py").write_text("# the command needs none of it\n")
        client.algorithms.put_code(algorithm["id"], "training", code)
        archive = Path(folder) / "texts.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            for name in (f"{label}/{i}.txt" for label in ("a", "b") for i in range(5)):
                packed.writestr(name, name)
        dataset = client.datasets.create("texts", purpose="text/classification")
        client.datasets.import_(dataset["id"], archive)
    client.algorithms.online(algorithm["id"])
    client.datasets.online(dataset["id"])
    return {
        "name": "clock",
        "algorithm_id": algorithm["id"],
        "dataset_id": dataset["id"],
        "resources": {"cpu": CPU},
    }


async def interleaved(client: Client, job: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Milliseconds from asking to the process running: submitted, and launched directly."""
    submitted, direct = [], []
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
        Path(folder).chmod(0o711)
        runtime = ProcessRuntime(Path(folder), clock=SystemClock(), interpreter=choose_interpreter())
        await runtime.start()
        for i in range(JOBS + 3):
            one, other = submit(client, job), await launch(runtime)
            if i >= 3:  # the first ones fill caches
                submitted.append(one)
                direct.append(other)
        await runtime.close()
    return submitted, direct


def submit(client: Client, job: dict[str, Any]) -> float:
    """Post a job, wait for its end, read in its log when it began."""
    asked = time.time_ns()
    made = client.jobs.create(**job)
    time.sleep(QUIET_SECONDS)  # asking how it stands would get in the way of what is measured
    while client.jobs.show(made["id"])["state"] not in ("succeeded", "failed"):
        time.sleep(0.02)
    return (int(client.jobs.log(made["id"])["text"].split()[0]) - asked) / 1e6


async def launch(runtime: ProcessRuntime) -> float:
    """Launch the same directly."""
    mounts = (Mount("results", "scratch", "RESULT_DIR"),)
    spec = LaunchSpec(new_id("att"), "bench", COMMAND, mounts=mounts, limits=Limits(cpu=CPU))
    asked = time.time_ns()
    handle = await runtime.launch(spec)
    while (await runtime.observe(handle)).state in (WorkloadState.STARTING, WorkloadState.RUNNING):
        await asyncio.sleep(0.01)
    log = b"".join([chunk async for chunk in runtime.logs(handle)])
    await runtime.remove(handle)
    return (int(log.split()[0]) - asked) / 1e6
