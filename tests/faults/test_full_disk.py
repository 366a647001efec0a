"""A full disk during upload, import, training and collecting: a clean failure with its reason, and life goes on."""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.ports.bus import Subscription
from tests.faults.harness import balance
from tests.journeys.steps import PATIENCE, online_images, refused, succeeded
from tests.support import process
from tests.support.algorithms import bell, slow_algorithm
from tests.support.data import images_zip, packed, picture
from tests.support.process import PlatformProcess, SmallDisk, left_over, until
from yard import Client, YardError

MIB = 1 << 20
PART = MIB


@pytest.fixture(scope="module")
def platform(engine: Path) -> Iterator[PlatformProcess]:
    disks = {"files": 24 * MIB, "run": 24 * MIB}
    with process.platform(disks, DATASET_PART_BYTES=str(PART), DATASET_TIDY_SECONDS="0.5") as running:
        yield running


@pytest.fixture(scope="module")
def alice(platform: PlatformProcess) -> Iterator[Client]:
    with platform.user("alice") as client:
        yield client


@pytest.fixture
def files(platform: PlatformProcess) -> Iterator[SmallDisk]:
    yield platform.disks["files"]
    platform.disks["files"].free(platform.pid)


def large_zip(to: Path, pictures: int = 12) -> Path:
    """An archive of real pictures with 200 KiB behind each, which no packing makes smaller."""
    names = [f"{label}/{n}.png" for label in ("a", "b") for n in range(pictures // 2)]
    return packed(to, {name: picture("circles", 1) + os.urandom(200 * 1024) for name in names})


def swelling_zip(to: Path) -> Path:
    """An archive of a quarter of a megabyte that holds two and a half."""
    names = [f"{label}/{n}.png" for label in ("a", "b") for n in range(6)]
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, picture("circles", 1) + os.urandom(20 * 1024) * 10)
    return to


def stored(platform: PlatformProcess) -> set[str]:
    return {name for (name,) in platform.facts()["files"]}


@pytest.mark.row("D2")
def test_an_upload_that_finds_no_room_is_told_so_and_goes_on_when_there_is(
    platform: PlatformProcess, alice: Client, files: SmallDisk, tmp_path: Path
) -> None:
    made = alice.datasets.create("too large", purpose="image/classification")
    archive = large_zip(tmp_path / "large.zip")
    before = stored(platform)
    files.fill(platform.pid, leave=PART // 2)
    refused(lambda: alice.datasets.upload(made["id"], archive), 507, "storage_full")
    refused(lambda: alice.datasets.upload(made["id"], archive), 507, "storage_full")
    seen = alice.datasets.show(made["id"])
    assert (seen["state"], seen["imports"], seen["current_version"]) == ("empty", [], None)
    assert not [name for name in stored(platform) - before if "objects" in name]
    assert alice.datasets.show(made["id"])["name"] == "too large", "what needs no room works all the time"

    files.free(platform.pid)
    ended = alice.datasets.import_(made["id"], archive, timeout=PATIENCE)
    assert ended["version_number"] == 1


@pytest.mark.row("D2", "D12")
def test_an_import_that_finds_no_room_leaves_no_version(
    platform: PlatformProcess, alice: Client, files: SmallDisk, tmp_path: Path
) -> None:
    made = alice.datasets.create("no room to unpack", purpose="image/classification")
    archive = swelling_zip(tmp_path / "swells.zip")
    files.fill(platform.pid, leave=PART)
    begun = alice.datasets.upload(made["id"], archive)
    ended = until(lambda: over(alice, made, begun), PATIENCE)
    assert (ended["state"], ended["code"], ended["version_number"]) == ("failed", "storage_full", None)
    assert "room" in ended["reason"].lower() or "space" in ended["reason"].lower()
    seen = alice.datasets.show(made["id"])
    assert (seen["state"], seen["current_version"]) == ("empty", None)
    assert alice.datasets.versions(made["id"]) == []
    refused(lambda: alice.datasets.online(made["id"]), 409, "dataset_empty")

    files.free(platform.pid)
    small = images_zip(tmp_path / "small.zip", 2)
    alice.datasets.import_(made["id"], small, timeout=PATIENCE)
    assert alice.datasets.version(made["id"], 1)["files"] == 6
    kept = f"datasets/{made['id']}"
    good = alice.datasets.imports(made["id"])[0]["id"]
    until(
        lambda: all(good in name for name in stored(platform) if kept in name and "objects" in name),
        PATIENCE,
        lambda: f"half-stored files stay: {sorted(stored(platform))}",
    )


def over(alice: Client, dataset: Any, import_: Any) -> Any:
    seen = alice.datasets.show_import(dataset["id"], import_["id"])
    return seen if seen["state"] in ("succeeded", "failed") else None


@pytest.fixture(scope="module")
def ready(platform: PlatformProcess, alice: Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A dataset and an algorithm to train."""
    folder = tmp_path_factory.mktemp("ready")
    dataset, algorithm = online_images(alice, folder, each=3), slow_algorithm(alice, folder)
    return {"dataset_id": dataset["id"], "algorithm_id": algorithm["id"]}


@pytest.mark.row("T5", "T12")
def test_a_training_that_fills_its_disk_fails_for_that_reason(
    platform: PlatformProcess, alice: Client, ready: dict[str, Any]
) -> None:
    models = [one["id"] for one in alice.models.each()]
    fills = "fill" if platform.disks["run"].mounted else "full"
    job = alice.jobs.create("fills it", **ready, parameters={"then": fills})
    ended = alice.jobs.wait(job["id"], timeout=PATIENCE)
    assert (ended["state"], ended["reason"]) == ("failed", "storage_full"), ended
    assert ended["detail"]
    assert "line 3 of 3" in alice.jobs.log(job["id"])["text"]
    assert (ended["model_id"], [one["id"] for one in alice.models.each()]) == (None, models)
    succeeded(alice, alice.jobs.create("after it", **ready))


@pytest.mark.row("T5", "M1")
def test_results_that_can_not_be_kept_make_no_model(
    platform: PlatformProcess, alice: Client, ready: dict[str, Any], files: SmallDisk
) -> None:
    models = [one["id"] for one in alice.models.each()]
    files.fill(platform.pid, leave=4 * MIB if files.mounted else 9 * MIB)
    job = alice.jobs.create("too much", **ready, parameters={"then": "large", "seconds": 1.0})
    if not files.mounted:
        until(lambda: alice.jobs.show(job["id"])["state"] == "running", PATIENCE)
        files.fill(platform.pid, leave=4 * MIB)
    ended = alice.jobs.wait(job["id"], timeout=PATIENCE)
    assert (ended["state"], ended["reason"]) == ("failed", "storage_full"), ended
    assert "room" in ended["detail"].lower() or "space" in ended["detail"].lower()
    assert (ended["model_id"], [one["id"] for one in alice.models.each()]) == (None, models)
    assert alice.jobs.results(job["id"]) == []
    assert not [name for name in stored(platform) if job["id"] in name and "results" in name]
    assert "line 3 of 3" in alice.jobs.log(job["id"])["text"], "what there was room for is kept"

    files.free(platform.pid)
    again = succeeded(alice, alice.jobs.start(job["id"]))
    assert {one["path"] for one in alice.jobs.results(job["id"])} >= {"large.bin", "model.json"}
    assert again["model_id"]


@pytest.mark.row("P6")
def test_databases_that_find_no_room_lose_nothing(engine: Path, listening: list[Subscription], tmp_path: Path) -> None:
    with bell() as rings, process.platform({"db": 64 * MIB}) as running, running.user("alice") as alice:
        dataset, algorithm = online_images(alice, tmp_path, each=3), slow_algorithm(alice, tmp_path)
        ids: dict[str, Any] = {"dataset_id": dataset["id"], "algorithm_id": algorithm["id"]}
        job = alice.jobs.create("goes on", **ids, parameters={"lines": 20, "seconds": 0.5, "until": rings.path})
        until(lambda: alice.jobs.show(job["id"])["state"] == "running", PATIENCE)
        disk = running.disks["db"]
        disk.fill(running.pid, leave=64 << 10)
        known = until(lambda: full(alice), PATIENCE)
        assert known == "storage_full" or not disk.mounted
        rings.ring()
        until(lambda: not is_training(running), PATIENCE, lambda: "the training does not need the databases")
        assert alice.jobs.show(job["id"])["state"] == "running", "what can't be written down has not happened"
        assert alice.datasets.show(dataset["id"])["state"] == "online"

        disk.free(running.pid)
        done = succeeded(alice, job)
        assert (done["attempt"], done["reason"]) == (1, "completed")
        assert len(alice.jobs.metrics(job["id"])["series"]["loss"]) == 20
        succeeded(alice, alice.jobs.create("after it", **ids))
        balance(running, listening)


def full(alice: Client) -> str:
    """Make datasets until there is no room; the code with which that is told."""
    try:
        alice.datasets.create("one more", purpose="image/classification", description="x" * 255)
    except YardError as told:
        return told.code
    return ""


def is_training(running: PlatformProcess) -> bool:
    return any("train.py" in one and "supervisor" not in one for one in left_over(running.home))
