"""State, jobs and services outlive the platform's process; the commands start and stop it."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded.commands.control import end_workloads
from embedded.lock import who_runs
from tests.journeys.steps import PATIENCE, online_images, published, started, stopped, succeeded
from tests.support.algorithms import Bell, slow_algorithm
from tests.support.process import PlatformProcess, engine_cache, left_over, settled_left_over, until
from yard import Client


@pytest.fixture(scope="module")
def dataset(alice: Client, folder: Path) -> Any:
    return online_images(alice, folder)


@pytest.fixture(scope="module")
def algorithm(alice: Client, folder: Path) -> Any:
    return slow_algorithm(alice, folder)


@pytest.mark.row("P6", "T15")
def test_everything_is_there_after_a_restart_and_what_ran_ran_on(
    platform: PlatformProcess, alice: Client, dataset: Any, algorithm: Any, rings: Bell
) -> None:
    ids = {"algorithm_id": algorithm["id"], "dataset_id": dataset["id"]}
    service = started(alice, published(alice, succeeded(alice, alice.jobs.create("first", **ids))), 2)
    before = {one["id"]: one["state"] for one in alice.services.replicas(service["id"])}
    job = alice.jobs.create("goes on", **ids, parameters={"lines": 40, "seconds": 4, "until": rings.path})
    until(lambda: "line 2 of" in log_of(alice, job), PATIENCE)
    own = log_of(alice, job).splitlines()[0]

    platform.stop()
    workers = left_over(platform.home)
    assert len(workers) >= 3, "job and replicas run without the platform"
    platform.start()

    assert alice.datasets.show(dataset["id"])["current_version"] == dataset["current_version"]
    assert alice.datasets.show(dataset["id"])["state"] == "online"
    assert alice.jobs.show(job["id"])["state"] == "running"
    rings.ring()
    assert alice.services.call(service, {"text": "still there"}).status_code == 200
    assert {one["id"]: one["state"] for one in alice.services.replicas(service["id"])} == before
    done = succeeded(alice, job)
    log = log_of(alice, job).splitlines()
    assert log == [own, *(f"line {n} of 40" for n in range(1, 41)), "done"]
    assert len(alice.jobs.metrics(job["id"])["series"]["loss"]) == 40
    assert (done["attempt"], len(alice.jobs.attempts(job["id"]))) == (1, 1)
    stopped(alice, service)


def log_of(alice: Client, job: Any) -> str:
    if alice.jobs.show(job["id"])["state"] in ("queued", "preparing"):
        return ""
    return alice.jobs.log(job["id"])["text"]


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="modelyard-up-"))
    made.chmod(0o711)
    yield made / "state"
    run(made / "state", "down", "--workloads")
    left = settled_left_over(made)
    shutil.rmtree(made)
    assert left == []


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    ours = {"YARD_HOME": str(home), "YARD_PORT": "0", "YARD_ENGINE_CACHE": str(engine_cache())}
    return subprocess.run(
        [sys.executable, "-m", "embedded", *words],
        env=os.environ | ours,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.row("P5", "P7")
def test_up_status_and_down(home: Path, engine: Path) -> None:
    assert run(home, "status").returncode == 3
    up = run(home, "up")
    assert up.returncode == 0, up.stderr
    running = who_runs(home)
    assert running is not None
    assert running.address in up.stdout
    assert running.address.startswith("http://127.0.0.1:"), "it listens on loopback only"
    password = home / "admin-password"
    assert str(password) in up.stdout
    assert password.stat().st_mode & 0o077 == 0
    with Client(running.address) as client:
        client.login("admin", password.read_text().strip())
        made = client.datasets.create("survives", purpose="image/classification")
    again = run(home, "up")
    assert again.returncode == 0
    assert running.address in again.stdout
    assert who_runs(home) == running, "up on a running platform changes nothing"
    refused = run(home, "serve")
    assert refused.returncode == 1
    assert "home_in_use" in refused.stderr
    assert run(home, "status").returncode == 0
    assert run(home, "down").returncode == 0
    assert run(home, "down").returncode == 0, "down twice is down once"
    assert run(home, "status").returncode == 3
    assert run(home, "up").returncode == 0
    running = who_runs(home)
    assert running is not None
    with Client(running.address) as client:
        client.login("admin", password.read_text().strip())
        assert client.datasets.show(made["id"])["name"] == "survives"
    assert asyncio.run(end_workloads(home)) == 0
