"""Jobs that train on a formatted set, and that validate on what is named for it (seed 001, row D9)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.kernel.ids import new_id
from tests.train_svc.conftest import Yard


async def things(yard: Yard, **algorithm: Any) -> tuple[str, str]:
    """An algorithm and a dataset."""
    made = await yard.things(**algorithm)
    return made["algorithm_id"], made["dataset_id"]


async def refused(yard: Yard, status: int, code: str, as_: str = "alice", **body: Any) -> dict[str, Any]:
    answer = await yard.client(as_).post("/jobs", json={"name": "one", **body})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    problem: dict[str, Any] = answer.json()
    return problem


@pytest.mark.row("D9")
async def test_a_job_trains_on_a_set_and_its_model_says_so(yard: Yard) -> None:
    algorithm, dataset = await things(yard)
    most = await yard.owners.formatted(yard.house.platform, dataset)
    other = await yard.owners.dataset(yard.house.platform, name="狐狸")
    job = await yard.job(algorithm_id=algorithm, formatted_set_id=most, validation={"dataset_id": other})
    assert job["formatted_set"] == {**job["formatted_set"], "id": most, "format": "raw", "share": 0.8}
    assert (job["dataset"]["id"], job["dataset"]["version"], job["split"]) == (dataset, 1, None)
    assert (job["validation"]["dataset"]["name"], job["validation"]["part"]) == ("狐狸", "train")
    attempt = await yard.running(job["id"])
    assert {item for item, _ in yard.owners.datasets.holds} == {most, other}
    using = await yard.client("dataset-svc").get(f"/uses/datasets/{other}")
    assert [one["id"] for one in using.json()["items"]] == [job["id"]]
    yard.runtime.says(attempt, model=b"weights")
    yard.runtime.ends(attempt)
    ended = await yard.until(job["id"], "succeeded")
    lineage = (await yard.get(f"/models/{ended['model_id']}"))["lineage"]
    named = job["formatted_set"]
    assert (lineage["formatted_set_id"], lineage["formatted_set_digest"]) == (most, named["digest"])
    assert (lineage["dataset_id"], lineage["dataset_digest"]) == (dataset, job["dataset"]["digest"])
    assert (lineage["validation"]["dataset_id"], lineage["validation"]["formatted_set_id"]) == (other, None)
    for found in ({"formatted_set_id": most}, {"dataset_id": dataset}, {"dataset_id": other}):
        listed = (await yard.alice.get("/jobs", params=found)).json()["items"]
        assert [one["id"] for one in listed] == [job["id"]]
    assert not (await yard.alice.get("/jobs", params={"formatted_set_id": other})).json()["items"]
    [queued] = await yard.events("job.queued")
    assert (queued["data"]["formatted_set_id"], queued["data"]["validation_dataset_id"]) == (most, other)


@pytest.mark.row("D9")
async def test_the_rest_is_offered_and_what_is_on_both_sides_is_told(yard: Yard) -> None:
    algorithm, dataset = await things(yard)
    most = await yard.owners.formatted(yard.house.platform, dataset, complement_id="set-rest")
    offered = await yard.job(algorithm_id=algorithm, formatted_set_id=most, start=False)
    assert "set-rest" in offered["note"]
    twice = await yard.job(algorithm_id=algorithm, dataset_id=dataset, validation={"dataset_id": dataset}, start=False)
    assert "the very files" in twice["note"]
    edited = await yard.alice.patch(f"/jobs/{twice['id']}", json={"formatted_set_id": most})
    assert "has all the files" in edited.json()["note"]
    back = await yard.alice.patch(f"/jobs/{twice['id']}", json={"dataset_id": dataset, "validation": None})
    shown = back.json()
    assert (shown["formatted_set"], shown["validation"]) == (None, None)
    assert "validat" not in shown["note"]
    assert shown["split"] == {"ratio": 0.8, "seed": 0}


@pytest.mark.row("D9")
async def test_files_of_another_dataset_that_are_trained_on_too_are_counted(yard: Yard) -> None:
    algorithm, dataset = await things(yard)
    files = {"cat/again.txt": b"cat 2", "dog/new.txt": b"dog 99", "dog/0.txt": b"dog 0"}
    other = await yard.owners.dataset(yard.house.platform, files=files)
    body: dict[str, Any] = {"algorithm_id": algorithm, "dataset_id": dataset, "start": False}
    job = await yard.job(**body, validation={"dataset_id": other})
    assert "2 of the 3 files that it validates on are among those of the dataset '猫狗' too." in job["note"]
    lost = yard.owners.datasets.snapshots[other].version.train
    await yard.house.platform.files.delete(lost.address)
    assert "files that it validates on" not in (await yard.job(**body, validation={"dataset_id": other}))["note"]


@pytest.mark.row("D9")
async def test_an_earlier_version_and_a_test_set_validate(yard: Yard) -> None:
    algorithm, dataset = await things(yard)
    other = await yard.owners.dataset(yard.house.platform, test=True)
    known = yard.owners.datasets.snapshots
    earlier = known[other].version.model_copy(update={"number": 7, "digest": "sha256:7"})
    known[f"{other}@7"] = known[other].model_copy(update={"version": earlier})
    validation = {"dataset_id": other, "version": 7, "part": "test"}
    job = await yard.job(algorithm_id=algorithm, dataset_id=dataset, validation=validation, start=False)
    assert (job["validation"]["dataset"]["version"], job["validation"]["part"]) == (7, "test")
    problem = await refused(
        yard,
        422,
        "invalid_job",
        algorithm_id=algorithm,
        dataset_id=dataset,
        validation={"dataset_id": dataset, "part": "test"},
    )
    assert [fault["where"] for fault in problem["faults"]] == ["validation.part"]


@pytest.mark.row("D9")
async def test_what_can_not_be_used_is_refused(yard: Yard) -> None:
    algorithm, dataset = await things(yard)
    platform, on = yard.house.platform, {"algorithm_id": algorithm}
    shared = await yard.owners.formatted(platform, dataset, owner="carol", shared=True)
    assert (await yard.job(**on, formatted_set_id=shared, start=False))["formatted_set"]["id"] == shared
    private = await yard.owners.formatted(platform, dataset, owner="carol")
    building = await yard.owners.formatted(platform, dataset)
    yard.owners.datasets.unfinished = {building: "alice"}
    await refused(yard, 409, "set_not_ready", **on, formatted_set_id=building)
    await refused(yard, 409, "set_not_ready", **on, dataset_id=dataset, validation={"formatted_set_id": building})
    yard.owners.datasets.unfinished[private] = "carol"
    for unknown in (private, new_id("set"), "set-1"):
        await refused(yard, 404, "formatted_set_not_found", **on, formatted_set_id=unknown)
    yard.owners.datasets.down = True
    await refused(yard, 503, "away", **on, formatted_set_id=shared)


@pytest.mark.row("D9")
async def test_what_does_not_go_together_is_named(yard: Yard) -> None:
    algorithm, dataset = await things(yard)
    platform = yard.house.platform
    records = await yard.owners.formatted(platform, dataset, format="lmdb")
    texts = await yard.owners.dataset(platform, purpose="text/classification")

    async def wrong(**body: Any) -> list[str]:
        problem = await refused(yard, 422, "invalid_job", algorithm_id=algorithm, **body)
        return [fault["where"] for fault in problem["faults"]]

    assert await wrong() == ["dataset_id"]
    assert await wrong(dataset_id=dataset, formatted_set_id=records) == ["dataset_id"]
    assert await wrong(dataset_id=dataset, validation={}) == ["validation"]
    assert await wrong(dataset_id=dataset, validation={"formatted_set_id": records, "version": 1}) == ["validation"]
    assert await wrong(formatted_set_id=records, split={"ratio": 0.9}) == ["formatted_set_id", "split"]
    assert await wrong(dataset_id=dataset, validation={"dataset_id": texts}) == ["validation.dataset_id"]
    assert await wrong(dataset_id=dataset, validation={"formatted_set_id": records}) == ["validation.formatted_set_id"]


@pytest.mark.row("D8", "D9")
async def test_where_training_code_finds_both(yard: Yard) -> None:
    algorithm, dataset = await things(yard, formats=("dir", "tfrecord"))
    platform = yard.house.platform
    most = await yard.owners.formatted(platform, dataset, format="tfrecord")
    other = await yard.owners.dataset(platform, test=True)

    async def finds(**body: Any) -> tuple[dict[str, int], str | None]:
        """How many files are in which folder of DATA_DIR, and where VALIDATION_DIR is."""
        attempt = await yard.running((await yard.job(algorithm_id=algorithm, **body))["id"])
        spec = yard.runtime.workloads[attempt].spec
        [data] = [Path(mount.source) for mount in spec.mounts if mount.variable == "DATA_DIR"]
        folders = [path.relative_to(data).parts[0] for path in data.rglob("*") if path.is_file()]
        yard.runtime.ends(attempt)
        return {name: folders.count(name) for name in sorted(set(folders))}, spec.environment.get("VALIDATION_DIR")

    val, test, split = "{dataset}/val", "{dataset}/test", {"ratio": 0.5}
    assert await finds(formatted_set_id=most) == ({"cat": 3, "dog": 3}, None)
    both = {"train": 6, "val": 8}
    assert await finds(formatted_set_id=most, validation={"dataset_id": other, "part": "test"}) == (both, val)
    assert await finds(dataset_id=dataset, split=split) == ({"test": 4, "train": 4}, test)
    three = {"test": 4, "train": 4, "val": 6}
    assert await finds(dataset_id=dataset, split=split, validation={"formatted_set_id": most}) == (three, val)
    assert await finds(dataset_id=dataset, validation={"dataset_id": other}) == ({"train": 8, "val": 8}, val)
    assert await finds(dataset_id=other) == ({"test": 8, "train": 8}, test)
