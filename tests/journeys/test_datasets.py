"""Rows D1, D3, D4, D6, D7, D8, D10 and D12, each from a person's seat: what becomes of a dataset, who may use it."""

import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.steps import EMBEDDED, PATIENCE, PROCESSES, online_images, refused, succeeded
from tests.support.algorithms import Bell, slow_algorithm
from tests.support.data import images_zip, packed
from tests.support.process import until
from yard import Client, YardError

ON = (EMBEDDED, PROCESSES)
EACH = 10
"""Pictures of each class."""


@pytest.fixture(scope="module")
def algorithm(alice: Client, folder: Path) -> Any:
    return slow_algorithm(alice, folder, name="for datasets")


def trained_on(client: Client, algorithm: Any, dataset: Any, **how: Any) -> Any:
    """A job on a dataset that ended well."""
    how = {"dataset_after": dataset["version"], **how}
    made = client.jobs.create("trains", algorithm_id=algorithm["id"], dataset_id=dataset["id"], **how)
    return succeeded(client, made)


def renamed(archive: Path, to: Path, folder: str) -> Path:
    """The same files, the first class in another folder."""
    with zipfile.ZipFile(archive) as before:
        files = {name: before.read(name) for name in before.namelist() if not name.endswith("/")}
    first = min(files).split("/")[0]
    return packed(to, {name.replace(f"{first}/", f"{folder}/"): data for name, data in files.items()})


@pytest.mark.row("D1")
def test_d1_a_dataset_is_made_of_what_a_person_says(alice: Client) -> None:
    made = alice.datasets.create(
        "病理切片",
        purpose="image/detection",
        annotation="box",
        format="json",
        test_mode="independent",
        description="初版",
    )
    shown = alice.datasets.show(made["id"])
    told = (shown["name"], shown["purpose"], shown["annotation"], shown["format"], shown["test_mode"], shown["state"])
    assert told == ("病理切片", "image/detection", "box", "json", "independent", "empty")
    wrong = partial(alice.datasets.create, "", purpose="image/cooking", format="lmdb")
    problem = refused(wrong, 422, "invalid_dataset")
    assert {fault.where for fault in problem.faults} == {"name", "purpose", "format"}


@pytest.mark.row("D3")
def test_d3_what_a_dataset_is_called_changes_and_is_remembered(alice: Client, folder: Path) -> None:
    made = online_images(alice, folder, "to be edited", 2)
    alice.datasets.edit(made["id"], name="edited", description="second thoughts")
    refused(lambda: alice.datasets.edit(made["id"], purpose="text/classification"), 409, "dataset_not_empty")
    deeds = {one["deed"]: one for one in alice.datasets.history(made["id"])}
    assert deeds.keys() == {"created", "imported", "online", "renamed", "edited"}
    assert deeds["renamed"]["changes"] == {"name": ["to be edited", "edited"]}


def all_told(problem: YardError) -> YardError | None:
    """The refusal, where every service said in time what it uses."""
    return None if problem.extra.get("unknown") else problem


@pytest.mark.row("D4")
def test_d4_a_running_job_keeps_a_deleted_dataset_and_its_model_the_lineage(
    alice: Client, bob: Client, algorithm: Any, folder: Path, rings: Bell
) -> None:
    made = online_images(alice, folder, "to be deleted", EACH)
    slow = {"lines": 3, "seconds": 0.1, "until": rings.path}
    job = alice.jobs.create("goes on", algorithm_id=algorithm["id"], dataset_id=made["id"], parameters=slow)
    until(lambda: alice.jobs.show(job["id"])["state"] == "running", PATIENCE)
    told = until(lambda: all_told(refused(lambda: alice.datasets.delete(made["id"]), 409, "dataset_online")), PATIENCE)
    assert job["id"] in [use["id"] for use in told.extra["used_by"]]
    assert job["id"] in told.detail
    alice.datasets.offline(made["id"])
    alice.datasets.delete(made["id"])
    refused(lambda: alice.datasets.show(made["id"]), 404, "dataset_not_found")
    rings.ring()
    done = succeeded(alice, job)
    lineage = alice.models.lineage(done["model_id"])["lineage"]
    assert (lineage["dataset_name"], lineage["dataset_digest"]) == (
        "to be deleted",
        made["current_version"]["digest"],
    )
    assert alice.datasets.history(made["id"])[0]["deed"] == "deleted"
    refused(lambda: bob.datasets.history(made["id"]), 404, "dataset_not_found")


@pytest.mark.row("D6")
def test_d6_only_an_online_dataset_is_used(alice: Client, algorithm: Any, folder: Path) -> None:
    made = online_images(alice, folder, "on and off", EACH)
    off = alice.datasets.offline(made["id"])
    use = partial(alice.jobs.create, "too late", algorithm_id=algorithm["id"], dataset_id=made["id"])
    refused(partial(use, dataset_after=off["version"]), 409, "dataset_offline")
    on = alice.datasets.online(made["id"])
    trained_on(alice, algorithm, on)


@pytest.mark.row("D7")
def test_d7_who_may_use_it_is_for_its_owner_to_say(
    alice: Client, bob: Client, admin: Client, algorithm: Any, folder: Path
) -> None:
    made = online_images(alice, folder, "shared and hidden", EACH)
    refused(lambda: bob.datasets.show(made["id"]), 404, "dataset_not_found")
    alice.datasets.visibility(made["id"], "public")
    assert bob.datasets.show(made["id"])["visibility"] == "public"
    refused(lambda: bob.datasets.visibility(made["id"], "private"), 403, "not_owner")
    refused(lambda: alice.datasets.visibility(made["id"], "preset"), 403, "admin_only")
    admin.datasets.visibility(made["id"], "preset")
    assert bob.datasets.show(made["id"])["visibility"] == "preset"
    admin.datasets.visibility(made["id"], "private")
    refused(lambda: bob.datasets.show(made["id"]), 404, "dataset_not_found")


@pytest.mark.row("D8")
def test_d8_a_job_says_what_part_it_trains_on(alice: Client, algorithm: Any, folder: Path) -> None:
    made = online_images(alice, folder, "to be split", EACH)
    jobs = [trained_on(alice, algorithm, made, ratio=ratio, seed=7) for ratio in (0.9, 0.9, 0.5)]
    assert [job["split"] for job in jobs] == [{"ratio": ratio, "seed": 7} for ratio in (0.9, 0.9, 0.5)]
    refused(lambda: trained_on(alice, algorithm, made, ratio=1.5), 422, "invalid_job")


@pytest.mark.row("D10")
def test_d10_the_catalogue_shows_everybody_presets_first(
    alice: Client, bob: Client, admin: Client, folder: Path
) -> None:
    preset = online_images(admin, folder, "catalogued preset", 2)
    admin.datasets.visibility(preset["id"], "preset")
    public = online_images(alice, folder, "catalogued public", 2)
    alice.datasets.visibility(public["id"], "public")
    online_images(alice, folder, "catalogued private", 2)
    label: Any = {"class": next(iter(public["current_version"]["classes"]))}
    nothing: Any = {"class": "no such"}
    for who in (alice, bob):
        found = who.datasets.list(q="catalogued", catalogue=True, **label)
        assert [one["name"] for one in found] == ["catalogued preset", "catalogued public"]
    assert bob.datasets.list(q="catalogued", catalogue=True, **nothing) == []
    assert [one["id"] for one in bob.datasets.list(q="catalogued", owner=public["owner"])] == [public["id"]]


@pytest.mark.row("D12")
def test_d12_every_import_is_a_version_that_jobs_name(alice: Client, algorithm: Any, folder: Path) -> None:
    made = online_images(alice, folder, "versions", EACH)
    first = trained_on(alice, algorithm, made)
    again = renamed(images_zip(folder / "one.zip", EACH), folder / "two.zip", "renamed")
    alice.datasets.import_(made["id"], again, timeout=PATIENCE)
    now = alice.datasets.edit_version(made["id"], 2, name="v2", description="one class has another name")
    diff = alice.datasets.diff(made["id"], 1, 2)
    assert {kind: total["files"] for kind, total in diff["totals"].items() if total["files"]} == {"renamed": EACH}
    assert all(item["path"].startswith("renamed/") for item in diff["items"])
    second = trained_on(alice, algorithm, alice.datasets.show(made["id"]))
    digests = [alice.models.lineage(job["model_id"])["lineage"]["dataset_digest"] for job in (first, second)]
    assert digests == [made["current_version"]["digest"], now["digest"]]
    assert [one["name"] for one in alice.datasets.versions(made["id"])] == ["v2", ""]
