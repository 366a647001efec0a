"""From the POST of a job to its process running, against spawning the same supervisor with the same command directly.

The process itself says when it began: its first line is the clock. Jobs run one after another on one platform, each
followed by a direct launch, so that a change of the machine's mood hits both.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from bench.house import password, percentile, platform, row
from common.kernel.clock import SystemClock
from common.kernel.ids import new_id
from common.ports.runtime import LaunchSpec, Mount, WorkloadState
from common.runtime.process import ProcessRuntime
from yard import Client

NAME = "submit"
JOBS = 60
P50_MS = 20.0
P99_MS = 80.0
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


def packed(files: dict[str, str]) -> bytes:
    """A zip of these texts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def prepare(client: Client) -> dict[str, Any]:
    """A tiny dataset and an algorithm that only says the time; gives the body of the job to post."""
    post, put, get = client.http.post, client.http.put, client.http.get
    post("/engines", json={"name": "plain", "framework": "python", "version": "3", "requirements": []})
    post("/engines/plain/build")
    wait(lambda: get("/engines/plain")["state"] == "ready")
    algorithm = post(
        "/algorithms",
        json={
            "name": "clock",
            "purpose": "text/classification",
            "formats": ["dir"],
            "training": {"engine": "plain", "command": list(COMMAND)},
        },
    )
    put(f"/algorithms/{algorithm['id']}/code/training", content=packed({"main.py": "print('unused')\n"}))
    post(f"/algorithms/{algorithm['id']}/online")
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "texts.zip"
        archive.write_bytes(packed({f"{label}/{i}.txt": f"{label} {i}" for label in ("a", "b") for i in range(5)}))
        dataset = client.datasets.create("texts", purpose="text/classification", format="dir")
        client.datasets.upload(dataset["id"], archive)
        wait(lambda: client.datasets.show(dataset["id"])["current_version"] is not None)
        client.datasets.online(dataset["id"])
    return {
        "name": "clock",
        "algorithm_id": algorithm["id"],
        "dataset_id": dataset["id"],
        "split": {"ratio": 0.8, "seed": 0},
        "resources": {"cpu": 0.1},
        "start": True,
    }


def wait(done: Any, seconds: float = 60.0) -> None:
    """Wait until `done()`. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("the platform did not get there")
        time.sleep(0.02)


async def interleaved(client: Client, job: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Milliseconds from asking to the process running: submitted, and launched directly."""
    submitted, direct = [], []
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as folder:
        Path(folder).chmod(0o711)
        runtime = ProcessRuntime(Path(folder), clock=SystemClock())
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
    made = client.http.post("/jobs", json=job)
    wait(lambda: client.http.get(f"/jobs/{made['id']}")["state"] in ("succeeded", "failed"))
    return (int(client.http.text(f"/jobs/{made['id']}/log").split()[0]) - asked) / 1e6


async def launch(runtime: ProcessRuntime) -> float:
    """Launch the same directly."""
    spec = LaunchSpec(new_id("att"), "bench", COMMAND, mounts=(Mount("results", "scratch", "RESULT_DIR"),))
    asked = time.time_ns()
    handle = await runtime.launch(spec)
    while (await runtime.observe(handle)).state in (WorkloadState.STARTING, WorkloadState.RUNNING):
        await asyncio.sleep(0.01)
    log = b"".join([chunk async for chunk in runtime.logs(handle)])
    await runtime.remove(handle)
    return (int(log.split()[0]) - asked) / 1e6
