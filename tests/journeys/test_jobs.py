"""How jobs end: stopped, out of time, failed, and started again, with every attempt readable."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import EMBEDDED, PATIENCE, PROCESSES, online_images, refused, succeeded
from tests.support.algorithms import Bell, slow_algorithm
from tests.support.process import until
from yard import Client

ON = (EMBEDDED, PROCESSES)


@pytest.fixture(scope="module")
def dataset(alice: Client, folder: Path) -> Any:
    return online_images(alice, folder)


@pytest.fixture(scope="module")
def algorithm(alice: Client, folder: Path) -> Any:
    return slow_algorithm(alice, folder)


def run(alice: Client, algorithm: Any, dataset: Any, **more: Any) -> Any:
    return alice.jobs.create("a job", algorithm_id=algorithm["id"], dataset_id=dataset["id"], **more)


def wait_for_line(alice: Client, job: Any, line: str, attempt: int | None = None) -> None:
    def written() -> bool:
        if alice.jobs.show(job["id"])["state"] in ("queued", "preparing"):
            return False
        return line in alice.jobs.log(job["id"], attempt=attempt)["text"]

    until(written, PATIENCE, lambda: f"no {line!r} in the log of {alice.jobs.show(job['id'])}")


@pytest.mark.row("T13", "T14", "T16", "T17")
def test_stop_keeps_what_was_written_and_a_second_attempt_leaves_the_first_readable(
    alice: Client, algorithm: Any, dataset: Any, folder: Path, rings: Bell
) -> None:
    job = run(alice, algorithm, dataset, parameters={"lines": 6, "seconds": 1.2, "until": rings.path})
    wait_for_line(alice, job, "line 2 of")
    alice.jobs.stop(job["id"])
    ended = alice.jobs.wait(job["id"], timeout=PATIENCE)
    assert (ended["state"], ended["reason"], ended["model_id"]) == ("stopped", "stopped_by_user", None)
    first = alice.jobs.log(job["id"], attempt=1)["text"]
    points = alice.jobs.metrics(job["id"], attempt=1)["series"]["accuracy"]
    assert len(points) >= 2
    results = {one["path"] for one in alice.jobs.results(job["id"], attempt=1)}
    assert results == {"partial.txt"}

    rings.ring()
    again = alice.jobs.start(job["id"])
    assert again["attempt"] == 2
    done = succeeded(alice, job)
    assert (done["attempt"], done["reason"]) == (2, "completed")
    attempts = {one["number"]: one for one in alice.jobs.attempts(job["id"])}
    assert {number: one["reason"] for number, one in attempts.items()} == {1: "stopped_by_user", 2: "completed"}
    assert alice.jobs.log(job["id"], attempt=1)["text"] == first
    assert alice.jobs.metrics(job["id"], attempt=1)["series"]["accuracy"] == points
    assert len(alice.jobs.metrics(job["id"])["series"]["accuracy"]) == 6
    assert {one["path"] for one in alice.jobs.results(job["id"], attempt=1)} == results
    whole = alice.jobs.download(job["id"], folder / "first.zip", attempt=1)
    with zipfile.ZipFile(whole) as packed:
        assert set(packed.namelist()) == results

    alice.jobs.delete(job["id"])
    refused(lambda: alice.jobs.show(job["id"]), 404, "job_not_found")
    assert alice.models.lineage(done["model_id"])["lineage"]["job_id"] == job["id"]


@pytest.mark.row("T15")
def test_the_time_limit_ends_it(alice: Client, algorithm: Any, dataset: Any) -> None:
    job = run(alice, algorithm, dataset, parameters={"lines": 600, "seconds": 60}, time_limit_seconds=5)
    ended = alice.jobs.wait(job["id"], timeout=PATIENCE)
    assert (ended["state"], ended["reason"], ended["model_id"]) == ("timed_out", "time_limit", None)
    assert "line 1 of" in alice.jobs.log(job["id"])["text"]


@pytest.mark.row("T5", "T12", "T16")
def test_a_failed_one_says_why_and_keeps_its_log(alice: Client, algorithm: Any, dataset: Any) -> None:
    job = run(alice, algorithm, dataset, parameters={"then": "fail"})
    ended = alice.jobs.wait(job["id"], timeout=PATIENCE)
    assert (ended["state"], ended["reason"], ended["model_id"]) == ("failed", "exit_code", None)
    assert "3" in ended["detail"]
    assert "line 3 of 3" in alice.jobs.log(job["id"])["text"]
    assert job["id"] in [one["id"] for one in alice.jobs.each(state="failed")]
    assert not [one for one in alice.models.each() if one["job_id"] == job["id"]]


@pytest.mark.row("T13")
def test_one_that_waits_for_capacity_says_so_and_stops_at_once(alice: Client, algorithm: Any, dataset: Any) -> None:
    [node] = alice.nodes.list()
    everything = {"cpu": node["cpu"]}
    first = run(alice, algorithm, dataset, parameters={"lines": 600, "seconds": 60}, resources=everything)
    wait_for_line(alice, first, "line 1 of")
    second = run(alice, algorithm, dataset, resources=everything)
    third = run(alice, algorithm, dataset, resources=everything)
    assert second["state"] == "queued"
    waiting = next(iter(alice.allocations.each(state="waiting")))
    assert waiting["state"] == "waiting"
    alice.jobs.stop(third["id"])
    assert alice.jobs.wait(third["id"], timeout=PATIENCE)["state"] == "stopped"
    assert alice.jobs.show(second["id"])["state"] == "queued"
    alice.jobs.stop(first["id"])
    assert alice.jobs.wait(first["id"], timeout=PATIENCE)["state"] == "stopped"
    succeeded(alice, second)

    def all_is_free() -> bool:
        [node] = alice.nodes.list()
        return bool(node["cpu_free"] == node["cpu"])

    until(all_is_free, PATIENCE, lambda: f"{alice.nodes.list()}")


@pytest.mark.row("M4")
def test_a_model_without_inference_part_is_refused_as_a_service(alice: Client, dataset: Any, folder: Path) -> None:
    algorithm = slow_algorithm(alice, folder, name="only trains", inference=None)
    done = succeeded(alice, run(alice, algorithm, dataset))
    problem = refused(lambda: alice.models.publish(done["model_id"], "no"), 409, "no_inference_part")
    assert "only trains" in problem.detail
    assert alice.models.show(done["model_id"])["services"] == []


@pytest.mark.row("D4", "D12")
def test_what_runs_keeps_its_data_when_the_dataset_goes(alice: Client, algorithm: Any, folder: Path) -> None:
    dataset = online_images(alice, folder, "soon gone")
    job = run(alice, algorithm, dataset, parameters={"lines": 5, "seconds": 1})
    wait_for_line(alice, job, "line 1 of")
    refused(lambda: alice.datasets.delete(dataset["id"]), 409, "dataset_online")
    alice.datasets.offline(dataset["id"])
    alice.datasets.delete(dataset["id"])
    refused(lambda: alice.datasets.show(dataset["id"]), 404, "dataset_not_found")
    done = succeeded(alice, job)
    lineage = alice.models.lineage(done["model_id"])["lineage"]
    assert (lineage["dataset_id"], lineage["dataset_name"]) == (dataset["id"], "soon gone")
    assert json.loads(alice.jobs.download(job["id"], folder / "m.json", path="model.json").read_bytes())["files"]
