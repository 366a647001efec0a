"""Formatted sets through the API: cut, complemented, read back, kept as long as they are needed (row D9)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from common.contracts.shared import ManifestRef
from common.kernel.errors import StorageFull
from common.staging.samples import rows_in
from dataset_svc import storage
from dataset_svc.reconcile import Sets
from dataset_svc.sets import RAW
from tests.dataset_svc.collection import stored
from tests.dataset_svc.conftest import DEADLINE_SECONDS, IMAGES, TEXTS, Desk, Open, Place, pictures
from tests.dataset_svc.corpus.good import PNG, annotation, coco, with_coco
from tests.dataset_svc.sets.readers import annotated, read

FILES = pictures(cats=10, dogs=5)


async def ready(desk: Desk, item: dict[str, Any], wanted: str = "ready") -> dict[str, Any]:
    """Wait until a set was built."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = await desk.ok("GET", f"/formatted-sets/{item['id']}")
            if found["state"] not in ("queued", "building"):
                assert found["state"] == wanted, found
                return found
            await asyncio.sleep(0.01)


async def order(desk: Desk, dataset: dict[str, Any], format: str, **more: Any) -> dict[str, Any]:
    body = {"dataset_id": dataset["id"], "format": format, **more}
    return await desk.ok("POST", "/formatted-sets", 202, json=body)


async def content(desk: Desk, item: dict[str, Any]) -> dict[str, bytes]:
    """All files of a set, by path, page by page."""
    found: dict[str, bytes] = {}
    cursor: str | None = None
    while True:
        page = await desk.ok(
            "GET", f"/formatted-sets/{item['id']}/files", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        )
        for file in page["items"]:
            answer = await desk.client.get(f"/formatted-sets/{item['id']}/files/file", params={"path": file["path"]})
            assert len(answer.content) == file["size"]
            found[file["path"]] = answer.content
        if (cursor := page["next_cursor"]) is None:
            return found


def records(format: str, files: dict[str, bytes], folder: Path) -> dict[str, tuple[int | None, bytes]]:
    """What an independent reader finds in these files."""
    if format == RAW:
        return {path: ({"cat": 0, "dog": 1}[path.partition("/")[0]], data) for path, data in files.items()}
    folder.mkdir()
    for path, data in files.items():
        (folder / path).write_bytes(data)
    assert json.loads((folder / "classes.json").read_text()) == {"classes": ["cat", "dog"]}
    return {path: (label, data) for path, label, data in read(format, folder, "image")}


@pytest.mark.row("D9")
@pytest.mark.parametrize("format", ["raw", "recordio", "lmdb", "webdataset", "tfrecord", "parquet"])
async def test_a_set_and_its_complement_are_the_whole_version(alice: Desk, format: str, tmp_path: Path) -> None:
    dataset = await alice.filled(FILES)
    ordered = await order(alice, dataset, format, ratio=0.8, complement=True)
    most = await ready(alice, ordered)
    rest = await ready(alice, {"id": most["complement"]["id"]})
    assert (most["cut"]["share"], rest["cut"]["share"]) == (0.8, 0.2)
    assert rest["complement"]["id"] == most["id"]
    assert most["classes"] == {"cat": 8, "dog": 4}
    assert rest["classes"] == {"cat": 2, "dog": 1}
    assert most["origin"]["digest"] == dataset["current_version"]["digest"]
    train = records(format, await content(alice, most), tmp_path / "train")
    held_out = records(format, await content(alice, rest), tmp_path / "held-out")
    assert not train.keys() & held_out.keys()
    assert train | held_out == {path: (int(path.startswith("dog")), data) for path, data in FILES.items()}


@pytest.mark.row("D9")
async def test_the_complement_is_offered_and_made_once(alice: Desk) -> None:
    dataset = await alice.filled(FILES)
    most = await order(alice, dataset, "tfrecord", ratio=0.9, side="train", name="大部分")
    assert most["complement"] == {"side": "held_out", "share": 0.1, "id": None}
    rest = await alice.ok("POST", f"/formatted-sets/{most['id']}/complement", 202)
    again = await alice.ok("POST", f"/formatted-sets/{most['id']}/complement", 202)
    assert rest["id"] == again["id"]
    assert rest["name"] == "宠物 10% tfrecord"
    whole = await order(alice, dataset, "tfrecord")
    assert whole["complement"] is None
    await alice.refused("POST", f"/formatted-sets/{whole['id']}/complement", 409, "no_complement")
    listed = await alice.ok("GET", "/formatted-sets", params={"dataset_id": dataset["id"], "format": "tfrecord"})
    assert {item["id"] for item in listed["items"]} == {most["id"], rest["id"], whole["id"]}


@pytest.mark.row("D9")
async def test_what_a_job_is_told_of_a_set(place: Place, alice: Desk) -> None:
    dataset = await alice.filled(FILES)
    most = await ready(alice, await order(alice, dataset, RAW, ratio=0.8, seed=3, complement=True))
    train = place.desk("train-svc")
    facts = await train.ok("GET", f"/formatted-sets/{most['id']}/snapshot")
    assert (facts["side"], facts["ratio"], facts["seed"], facts["part"]) == ("train", 0.8, 3, "train")
    assert (facts["complement_id"], facts["shared"]) == (most["complement"]["id"], False)
    snapshot = await train.ok("GET", f"/datasets/{dataset['id']}/snapshot", params={"version": 1})
    assert facts["dataset"] == snapshot
    await train.refused("GET", f"/datasets/{dataset['id']}/snapshot?version=2", 404, "version_not_found")
    await alice.ok("DELETE", f"/formatted-sets/{most['complement']['id']}", 204)
    assert (await alice.ok("GET", f"/formatted-sets/{most['id']}"))["complement"]["id"] is None
    assert (await train.ok("GET", f"/formatted-sets/{most['id']}/snapshot"))["complement_id"] is None


@pytest.mark.row("D9", "D10")
async def test_the_sets_that_come_with_a_public_dataset_are_for_all(place: Place, alice: Desk) -> None:
    """Seed 001: the platform brings the formatted sets of its public datasets; what others make of them is theirs."""
    dataset = await alice.filled(FILES, visibility="public")
    item = await ready(alice, await order(alice, dataset, "recordio", ratio=0.8))
    bob = place.desk("bob")
    await bob.refused("GET", f"/formatted-sets/{item['id']}", 404, "formatted_set_not_found")
    await alice.ok("POST", f"/datasets/{dataset['id']}/online")
    own = await ready(bob, await order(bob, dataset, "recordio", ratio=0.8))
    assert (await bob.ok("GET", f"/formatted-sets/{item['id']}"))["id"] == item["id"]
    assert {one["id"] for one in (await bob.ok("GET", "/formatted-sets"))["items"]} == {item["id"], own["id"]}
    assert [one["id"] for one in (await alice.ok("GET", "/formatted-sets"))["items"]] == [item["id"]]
    await bob.refused("DELETE", f"/formatted-sets/{item['id']}", 403, "not_owner")
    facts = [await place.desk("train-svc").ok("GET", f"/formatted-sets/{one['id']}/snapshot") for one in (item, own)]
    assert [one["shared"] for one in facts] == [True, False]
    await alice.ok("POST", f"/datasets/{dataset['id']}/offline")
    assert [one["id"] for one in (await bob.ok("GET", "/formatted-sets"))["items"]] == [own["id"]]


@pytest.mark.row("D9")
async def test_the_same_order_gives_the_same_bytes(alice: Desk) -> None:
    dataset = await alice.filled(FILES)
    first = await ready(alice, await order(alice, dataset, "webdataset", ratio=0.5, seed=7))
    second = await ready(alice, await order(alice, dataset, "webdataset", ratio=0.5, seed=7))
    other = await ready(alice, await order(alice, dataset, "webdataset", ratio=0.5, seed=8))
    assert first["manifest"]["digest"] == second["manifest"]["digest"] != other["manifest"]["digest"]


async def test_a_raw_set_copies_nothing_and_keeps_the_files_that_it_needs(place: Place, alice: Desk) -> None:
    dataset = await alice.filled(FILES)
    item = await ready(alice, await order(alice, dataset, RAW, ratio=0.5))
    assert await place.keys(f"sets/{item['id']}/") == [f"sets/{item['id']}/index"]
    await alice.ok("DELETE", f"/datasets/{dataset['id']}", 204)
    place.context.ring()
    assert await content(alice, item)
    await alice.ok("DELETE", f"/formatted-sets/{item['id']}", 204)
    await alice.refused("GET", f"/formatted-sets/{item['id']}", 404, "formatted_set_not_found")
    await place.tidied(f"sets/{item['id']}/")
    await place.tidied(f"datasets/{dataset['id']}/")


@pytest.mark.row("D9", "D8")
async def test_each_half_of_annotated_pictures_has_the_file_that_annotates_them(alice: Desk) -> None:
    files = with_coco(coco(annotations=[annotation(), annotation(id=2, image_id=2)]))
    dataset = await alice.filled(files, purpose="image/detection", annotation="box", format="json")
    half = await ready(alice, await order(alice, dataset, RAW, ratio=0.5, complement=True))
    rest = await ready(alice, {"id": half["complement"]["id"]})
    one, other = [set(await content(alice, item)) for item in (half, rest)]
    assert one | other == files.keys()
    assert one & other == {"annotations/instances.json"}
    assert len(one) == len(other) == 2


def detections(cats: int, dogs: int) -> dict[str, bytes]:
    """Pictures in COCO's format, each with one thing in it, and one more with nothing."""
    kinds = [1] * cats + [2] * dogs
    images = [{"id": n, "file_name": f"{n}.png", "width": 20, "height": 10} for n in range(1, len(kinds) + 2)]
    things = [annotation(id=n, image_id=n, category_id=kind) for n, kind in enumerate(kinds, 1)]
    pictures = {f"images/{image['file_name']}": PNG for image in images}
    return {"annotations/instances.json": coco(images=images, annotations=things), **pictures}


@pytest.mark.row("D9", "D8")
async def test_annotated_pictures_are_cut_by_what_is_annotated_in_them(alice: Desk) -> None:
    files = detections(cats=12, dogs=4)
    dataset = await alice.filled(files, purpose="image/detection", annotation="box", format="json")
    item = await ready(alice, await order(alice, dataset, RAW, ratio=0.75, complement=True))
    rest = await ready(alice, {"id": item["complement"]["id"]})
    assert (item["classes"], rest["classes"]) == ({"dog": 3, "猫": 9}, {"dog": 1, "猫": 3})
    assert (item["records"], rest["records"]) == (13, 4)
    everything = await ready(alice, await order(alice, dataset, RAW))
    assert (everything["classes"], everything["records"]) == ({"dog": 4, "猫": 12}, 17)


@pytest.mark.row("D9")
@pytest.mark.parametrize("format", ["webdataset", "tfrecord", "parquet"])
async def test_records_hold_what_is_annotated_in_their_files(alice: Desk, format: str, tmp_path: Path) -> None:
    files = detections(cats=3, dogs=1)
    dataset = await alice.filled(files, purpose="image/detection", annotation="box", format="json")
    page = await alice.ok("GET", f"/datasets/{dataset['id']}/samples")
    known = {sample["path"]: sample.get("annotations") for sample in page["items"] if sample["path"].endswith(".png")}
    item = await ready(alice, await order(alice, dataset, format))
    assert (item["records"], item["classes"]) == (5, {"dog": 1, "猫": 3})
    for path, data in (await content(alice, item)).items():
        (tmp_path / path).write_bytes(data)
    assert annotated(format, tmp_path) == known
    assert sorted(read(format, tmp_path, "image")) == sorted((path, None, PNG) for path in known)


@pytest.mark.row("D9")
@pytest.mark.parametrize("format", ["webdataset", "tfrecord", "parquet"])
async def test_records_of_texts_hold_their_entities(alice: Desk, format: str, tmp_path: Path) -> None:
    files = {f"{n}.txt": "张三住在北京。".encode() for n in range(3)}
    files |= {f"{n}.ann": "T1\tPerson 0 2\t张三\n".encode() for n in range(3)}
    dataset = await alice.filled(files, purpose="text/entity", annotation="entity", format="brat_ann")
    item = await ready(alice, await order(alice, dataset, format))
    for path, data in (await content(alice, item)).items():
        (tmp_path / path).write_bytes(data)
    found = annotated(format, tmp_path)
    assert sorted(found) == ["0.txt", "1.txt", "2.txt"]
    assert [[entity["class"] for entity in one["entities"]] for one in found.values()] == [["Person"]] * 3
    assert sorted(read(format, tmp_path, "text")) == [(f"{n}.txt", None, files["0.txt"]) for n in range(3)]


@pytest.mark.row("D9", "D8")
async def test_a_table_is_cut_row_by_row(place: Place, alice: Desk) -> None:
    rows = [f"文本 {n},{'甲' if n % 5 else '乙'}\n" for n in range(50)]
    files = {"all.csv": "".join(["text,label\n", *rows]).encode()}
    dataset = await alice.filled(files, purpose=TEXTS, format="single_text")
    item = await ready(alice, await order(alice, dataset, RAW, ratio=0.8, complement=True))
    rest = await ready(alice, {"id": item["complement"]["id"]})
    assert (item["classes"], rest["classes"]) == ({"乙": 8, "甲": 32}, {"乙": 2, "甲": 8})
    assert (item["records"], rest["records"]) == (40, 10)
    parts = [(await content(alice, one))["all.csv"].decode().splitlines(keepends=True) for one in (item, rest)]
    assert [part[0] for part in parts] == ["text,label\n"] * 2
    assert sorted(parts[0][1:] + parts[1][1:]) == sorted(rows)
    facts = await place.desk("train-svc").ok("GET", f"/formatted-sets/{item['id']}/snapshot")
    noted = await rows_in(place.context.files, ManifestRef.model_validate(facts["annotations"]))
    assert list(noted["all.csv"].starts) == list(range(2, 42))
    for format in ("lmdb", "recordio"):
        body = {"dataset_id": dataset["id"], "format": format}
        problem = await alice.refused("POST", "/formatted-sets", 422, "invalid_formatted_set", json=body)
        assert "rows of text" in problem["faults"][0]["reason"]
        assert "choose raw, webdataset, tfrecord, parquet." in problem["faults"][0]["reason"]
    for one in (item, rest):
        await alice.ok("DELETE", f"/formatted-sets/{one['id']}", 204)
        await place.tidied(f"sets/{one['id']}/")


@pytest.mark.row("D9")
async def test_a_record_of_one_class_is_made_of_pictures_with_one(alice: Desk, tmp_path: Path) -> None:
    labels = [{"image": f"{n}.png", "label": "猫" if n % 2 else "dog"} for n in range(4)]
    labelled = b"".join(orjson.dumps(one) + b"\n" for one in labels)
    files = {f"{n}.png": PNG for n in range(4)} | {"metadata.jsonl": labelled}
    dataset = await alice.filled(files, purpose=IMAGES, format="json")
    for format in ("lmdb", "recordio"):
        item = await ready(alice, await order(alice, dataset, format))
        assert (item["records"], item["classes"]) == (4, {"dog": 2, "猫": 2})
        (folder := tmp_path / format).mkdir()
        for path, data in (await content(alice, item)).items():
            (folder / path).write_bytes(data)
        assert sorted(read(format, folder, "image")) == [(f"{n}.png", n % 2, PNG) for n in range(4)]
    found = await alice.filled(detections(1, 1), purpose="image/detection", annotation="box", format="json")
    body = {"dataset_id": found["id"], "format": "recordio"}
    problem = await alice.refused("POST", "/formatted-sets", 422, "invalid_formatted_set", json=body)
    assert "webdataset" in problem["faults"][0]["reason"]


@pytest.mark.row("D9")
async def test_what_is_no_sample_is_no_record(alice: Desk, tmp_path: Path) -> None:
    files = {**detections(cats=2, dogs=1), "README": b"read me", "LICENSE.md": b"as it is"}
    dataset = await alice.filled(files, purpose="image/detection", annotation="box", format="json")
    item = await ready(alice, await order(alice, dataset, "webdataset"))
    assert item["records"] == 4
    for path, data in (await content(alice, item)).items():
        (tmp_path / path).write_bytes(data)
    assert len(read("webdataset", tmp_path, "image")) == 4


@pytest.mark.row("D9", "D8")
async def test_texts_that_are_files_and_texts_that_are_lines_are_cut_together(alice: Desk) -> None:
    text = b'{"text": "cat %d", "entities": [{"start": 0, "end": 3, "label": "k"}]}'
    files = {f"{n:02d}.json": text % n for n in range(20)} | {"all.jsonl": text % 99 + b"\n"}
    dataset = await alice.filled(files, purpose="text/entity", annotation="entity", format="json")
    item = await ready(alice, await order(alice, dataset, RAW, ratio=0.5, complement=True))
    rest = await ready(alice, {"id": item["complement"]["id"]})
    one, other = [await content(alice, found) for found in (item, rest)]
    assert not one.keys() & other.keys()
    assert one | other == files
    assert item["records"] + rest["records"] == 21
    assert item["classes"]["k"] + rest["classes"]["k"] == 21


async def test_an_encoded_set_outlives_its_dataset(place: Place, alice: Desk) -> None:
    dataset = await alice.filled(FILES)
    item = await ready(alice, await order(alice, dataset, "recordio"))
    await alice.ok("DELETE", f"/datasets/{dataset['id']}", 204)
    await place.tidied(f"datasets/{dataset['id']}/")
    assert await content(alice, item)
    facts = await place.desk("train-svc").ok("GET", f"/formatted-sets/{item['id']}/snapshot")
    assert facts["dataset"]["version"]["digest"] == dataset["current_version"]["digest"]


@pytest.mark.row("D9")
@pytest.mark.parametrize("files", [storage.GOING, storage.GONE])
async def test_what_lost_its_files_has_no_complement(place: Place, alice: Desk, files: str) -> None:
    dataset = await alice.filled(FILES)
    item = await ready(alice, await order(alice, dataset, "recordio", ratio=0.5))
    async with place.context.store.work() as uow:
        await storage.mark_files(uow.connection, storage.datasets, dataset["id"], files)
    problem = await alice.refused("POST", f"/formatted-sets/{item['id']}/complement", 409, "no_complement")
    assert problem["detail"] == "宠物 was deleted with its files: there is no rest."
    assert [one["id"] for one in (await alice.ok("GET", "/formatted-sets"))["items"]] == [item["id"]]
    assert not (await alice.ok("GET", f"/datasets/{dataset['id']}/uses"))["items"]


@pytest.mark.row("D9")
async def test_what_holds_its_files_has_a_complement_of_a_deleted_dataset(alice: Desk) -> None:
    dataset = await alice.filled(FILES)
    item = await ready(alice, await order(alice, dataset, RAW, ratio=0.5))
    await alice.ok("DELETE", f"/datasets/{dataset['id']}", 204)
    await ready(alice, await alice.ok("POST", f"/formatted-sets/{item['id']}/complement", 202))


async def test_what_a_workload_holds_is_kept(place: Place, alice: Desk) -> None:
    item = await ready(alice, await order(alice, await alice.filled(FILES), "recordio"))
    train = place.desk("train-svc")
    await train.ok("PUT", f"/formatted-sets/{item['id']}/holds/att-1", 204)
    facts = await train.ok("GET", f"/formatted-sets/{item['id']}/snapshot")
    assert facts["manifest"] == item["manifest"]
    kept = await content(alice, item)
    await alice.ok("DELETE", f"/formatted-sets/{item['id']}", 204)
    await Sets(place.context)._remove()  # a whole round of the loop's, which has looked at this set
    assert await stored(place.context.files, ManifestRef(**item["manifest"])) == kept
    await train.ok("DELETE", f"/formatted-sets/{item['id']}/holds/att-1", 204)
    await place.tidied(f"sets/{item['id']}/")
    await train.refused("PUT", f"/formatted-sets/{item['id']}/holds/att-2", 404, "formatted_set_not_found")


@pytest.mark.parametrize("format", ["lmdb", "webdataset"])
async def test_a_restart_in_the_middle_goes_on(open_place: Open, format: str) -> None:
    async with open_place() as place:
        alice = place.desk("alice")
        item = await order(alice, await alice.filled(FILES), format, ratio=0.8)
    async with open_place() as place:
        done = await ready(place.desk("alice"), item)
        assert done["records"] == 12


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"format": "hdf5"}, "format"),
        ({"ratio": 1.0}, "ratio"),
        ({"ratio": 0.0}, "ratio"),
        ({"side": "train"}, "side"),
        ({"ratio": 0.8, "side": "all"}, "side"),
        ({"complement": True}, "complement"),
        ({"name": " "}, "name"),
    ],
)
async def test_a_bad_order_is_refused(alice: Desk, wrong: dict[str, Any], where: str) -> None:
    dataset = await alice.filled()
    body = {"dataset_id": dataset["id"], "format": "lmdb", **wrong}
    problem = await alice.refused("POST", "/formatted-sets", 422, "invalid_formatted_set", json=body)
    assert where in [fault["where"] for fault in problem["faults"]], problem
    assert not (await alice.ok("GET", "/formatted-sets"))["items"]


async def test_what_is_not_there_can_not_be_cut(place: Place, alice: Desk) -> None:
    empty = await alice.create()
    body = {"dataset_id": empty["id"], "format": "raw"}
    await alice.refused("POST", "/formatted-sets", 409, "dataset_empty", json=body)
    filled = await alice.filled()
    await alice.refused(
        "POST", "/formatted-sets", 404, "version_not_found", json={**body, "dataset_id": filled["id"], "version": 9}
    )
    await alice.refused(
        "POST", "/formatted-sets", 404, "part_not_found", json={**body, "dataset_id": filled["id"], "part": "test"}
    )
    bob = place.desk("bob")
    await bob.refused(
        "POST", "/formatted-sets", 404, "dataset_not_found", json={"dataset_id": filled["id"], "format": "raw"}
    )
    item = await order(alice, filled, "raw")
    await bob.refused("GET", f"/formatted-sets/{item['id']}", 404, "formatted_set_not_found")
    await bob.refused("DELETE", f"/formatted-sets/{item['id']}", 404, "formatted_set_not_found")


async def test_a_side_without_files_is_a_failure_that_says_so(alice: Desk) -> None:
    dataset = await alice.filled({"cat/1.txt": b"a", "dog/1.txt": b"b"}, purpose=TEXTS)
    item = await ready(alice, await order(alice, dataset, "parquet", ratio=0.5, side="held_out"), "failed")
    assert item["code"] == "empty_set"
    await alice.refused("GET", f"/formatted-sets/{item['id']}/files", 409, "set_not_ready")


@pytest.mark.row("D9")
@pytest.mark.parametrize("format", [RAW, "recordio"])
async def test_a_set_that_failed_keeps_its_reason_and_nothing_else(
    place: Place, alice: Desk, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = await alice.filled(FILES)
    most = await ready(alice, await order(alice, dataset, format, ratio=0.8))
    put = place.context.files.put

    async def full(key: str, *content: Any, **how: Any) -> Any:
        if key.startswith("sets/") and key.endswith("/index"):  # the last of it that is stored
            raise StorageFull("storage_full", "There is no room for it.")
        return await put(key, *content, **how)

    monkeypatch.setattr(place.context.files, "put", full)
    rest = await alice.ok("POST", f"/formatted-sets/{most['id']}/complement", 202)
    await ready(alice, rest, "failed")
    users = (await alice.ok("GET", f"/datasets/{dataset['id']}/uses"))["items"]
    assert [use["id"] for use in users] == ([most["id"]] if format == RAW else [])
    await place.tidied(f"sets/{rest['id']}/")
    assert await content(alice, most)
    listed = (await alice.ok("GET", "/formatted-sets", params={"state": "failed"}))["items"]
    assert [(one["id"], one["code"], one["reason"]) for one in listed] == [
        (rest["id"], "storage_full", "There is no room for it.")
    ]
    await alice.ok("DELETE", f"/formatted-sets/{rest['id']}", 204)
