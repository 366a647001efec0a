"""Uploads in parts: resumed, checked, refused and cleaned up, over HTTP."""

import asyncio
import hashlib
import os
from dataclasses import replace
from datetime import timedelta

import pytest

from common.ports.files import FileInfo, FilesCapabilities
from dataset_svc import storage
from dataset_svc.reconcile import Tidy
from tests.dataset_svc.conftest import SMALL_PARTS, pictures, zipped

ARCHIVE = zipped(pictures(cats=30, dogs=30))
ONE_PART = zipped(pictures(cats=1, dogs=1))
BODY = {"part": "train", "filename": "猫.zip", "size": len(ARCHIVE)}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
async def dataset(alice):
    return (await alice.create())["id"]


@pytest.mark.row("D2")
async def test_how_a_file_is_to_be_cut(alice, dataset):
    begun = await alice.begin(dataset, ARCHIVE)
    assert begun["id"].startswith("up-")
    assert (begun["state"], begun["part_size"], begun["size"]) == ("open", SMALL_PARTS, len(ARCHIVE))
    assert (begun["parts"], begun["import_id"]) == ([], None)
    assert begun["part_count"] == -(-len(ARCHIVE) // SMALL_PARTS) > 5


@pytest.mark.row("D2")
async def test_an_upload_goes_on_after_a_restart(open_place):
    async with open_place() as place:
        alice = place.desk()
        dataset = (await alice.create())["id"]
        begun = await alice.begin(dataset, ARCHIVE)
        await alice.send(dataset, begun, ARCHIVE, [3, 1])
    async with open_place() as place:
        alice = place.desk()
        found = await alice.ok("GET", f"/datasets/{dataset}/uploads/{begun['id']}")
        assert found["parts"] == [1, 3]
        assert found["arrived"][1]["sha256"] == sha256(ARCHIVE[2 * SMALL_PARTS : 3 * SMALL_PARTS])
        problem = await alice.refused(
            "POST", f"/datasets/{dataset}/uploads/{begun['id']}/complete", 409, "upload_incomplete"
        )
        rest = [n for n in range(1, begun["part_count"] + 1) if n not in found["parts"]]
        assert problem["missing"] == rest
        await alice.send(dataset, begun, ARCHIVE, rest)
        queued = await alice.ok("POST", f"/datasets/{dataset}/uploads/{begun['id']}/complete", 202)
        assert queued["state"] in ("queued", "running")
        assert (await alice.ended(queued))["state"] == "succeeded"


@pytest.mark.row("D2")
async def test_parts_come_in_any_order_several_at_once_and_again(place, alice, dataset):
    begun = await alice.begin(dataset, ARCHIVE)
    numbers = list(range(begun["part_count"], 0, -1))
    await asyncio.gather(*(alice.send(dataset, begun, ARCHIVE, [number]) for number in [*numbers, *numbers[:3]]))
    path = f"/datasets/{dataset}/uploads/{begun['id']}/complete"
    first, second = await asyncio.gather(*(alice.ok("POST", path, 202) for _ in range(2)))
    assert first["id"] == second["id"]
    assert (await alice.ended(first))["state"] == "succeeded"
    assert (await alice.ok("POST", path, 202))["id"] == first["id"], "also long after"
    found = await alice.ok("GET", f"/datasets/{dataset}/uploads/{begun['id']}")
    assert (found["state"], found["import_id"]) == ("completed", first["id"])
    assert len((await alice.ok("GET", f"/datasets/{dataset}/imports"))["items"]) == 1


@pytest.mark.row("D2")
@pytest.mark.parametrize(
    ("number", "data", "headers", "status", "code"),
    [
        (0, b"x" * SMALL_PARTS, {}, 422, "bad_part_number"),
        (-1, b"x" * SMALL_PARTS, {}, 422, "bad_part_number"),
        (1000, b"x" * SMALL_PARTS, {}, 422, "bad_part_number"),
        ("one", b"x" * SMALL_PARTS, {}, 422, "invalid_request"),
        (1, b"x" * (SMALL_PARTS - 1), {}, 422, "wrong_part_size"),
        (1, b"", {}, 422, "wrong_part_size"),
        (1, b"x" * (SMALL_PARTS + 1), {}, 413, "part_too_large"),
        (1, b"x" * SMALL_PARTS, {"X-Content-SHA256": sha256(b"other")}, 422, "checksum_mismatch"),
        (1, b"x" * SMALL_PARTS, {"X-Content-SHA256": "abc"}, 422, "invalid_part"),
    ],
)
async def test_a_wrong_part_is_refused_and_not_kept(alice, dataset, number, data, headers, status, code):
    begun = await alice.begin(dataset, ARCHIVE)
    path = f"/datasets/{dataset}/uploads/{begun['id']}"
    await alice.refused("PUT", f"{path}/parts/{number}", status, code, content=data, headers=headers)
    assert (await alice.ok("GET", path))["parts"] == []


@pytest.mark.parametrize(("extra", "status", "code"), [(1, 413, "part_too_large"), (-1, 422, "wrong_part_size")])
async def test_a_part_without_a_length_is_counted_as_it_comes(alice, dataset, extra, status, code):
    async def chunks():
        for _ in range(SMALL_PARTS // 10):
            yield b"x" * 10
        yield b"x"

    async def fewer():
        yield b"x" * (SMALL_PARTS - 1)

    begun = await alice.begin(dataset, ARCHIVE)
    path = f"/datasets/{dataset}/uploads/{begun['id']}"
    sent = chunks() if extra > 0 else fewer()
    await alice.refused("PUT", f"{path}/parts/1", status, code, content=sent)
    assert (await alice.ok("GET", path))["parts"] == []


@pytest.mark.row("D2")
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("content", [ARCHIVE, ONE_PART], ids=["parts", "one part"])
async def test_the_checksum_is_computed_where_none_was_told(place, alice, monkeypatch, elsewhere, content):
    """`elsewhere`: the store copies parts together without reading them, as S3 does."""
    if elsewhere:
        complete = place.context.files.complete_upload

        async def without(upload: str, *, sha256: str | None = None) -> FileInfo:
            return replace(await complete(upload, sha256=sha256), sha256=None)

        away = FilesCapabilities(local_paths=False, presign=False)
        monkeypatch.setattr(place.context.files, "capabilities", away, raising=False)
        monkeypatch.setattr(place.context.files, "local_path", lambda key: None)
        monkeypatch.setattr(place.context.files, "complete_upload", without)
    dataset = (await alice.create())["id"]
    upload = await alice.begin(dataset, content)
    await alice.send(dataset, upload, content)
    item = await alice.ok("POST", f"/datasets/{dataset}/uploads/{upload['id']}/complete", 202)
    assert item["sha256"] == (None if elsewhere else sha256(content))
    done = await alice.ended(item)
    assert (done["state"], done["sha256"]) == ("succeeded", sha256(content))


@pytest.mark.row("D2")
async def test_the_whole_is_held_against_its_checksum(alice, dataset):
    begun = await alice.begin(dataset, ARCHIVE, sha256=sha256(b"another file"))
    await alice.send(dataset, begun, ARCHIVE)
    path = f"/datasets/{dataset}/uploads/{begun['id']}"
    problem = await alice.refused("POST", f"{path}/complete", 422, "checksum_mismatch")
    assert problem["detail"].startswith(f"archive.zip arrived with SHA-256 {sha256(ARCHIVE)} instead of ")
    assert problem["detail"].endswith("Send the parts that differ once more, or complete it with the right one.")
    await alice.refused("POST", f"{path}/complete", 422, "invalid_upload", json={"sha256": "12"})
    assert len((await alice.ok("GET", path))["parts"]) == begun["part_count"], "the parts stay"
    assert (await alice.ok("GET", f"/datasets/{dataset}"))["imports"] == []
    done = await alice.ok("POST", f"{path}/complete", 202, json={"sha256": sha256(ARCHIVE).upper()})
    assert (await alice.ended(done))["state"] == "succeeded"


@pytest.mark.row("D2")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"size": 0}, "invalid_upload"),
        ({"size": -1}, "invalid_upload"),
        ({"size": 1 << 60}, "invalid_upload"),
        ({"filename": ""}, "invalid_upload"),
        ({"filename": "a\0b"}, "invalid_upload"),
        ({"sha256": "z" * 64}, "invalid_upload"),
        ({"part": "validation"}, "invalid_request"),
        ({"size": "big"}, "invalid_request"),
        ({"key": "../../etc"}, "invalid_request"),
    ],
)
async def test_an_upload_that_can_not_be(alice, dataset, change, code):
    await alice.refused("POST", f"/datasets/{dataset}/uploads", 422, code, json={**BODY, **change})


async def test_nothing_is_uploaded_in_vain(alice):
    ratio = await alice.create()
    path = f"/datasets/{ratio['id']}/uploads"
    await alice.refused("POST", path, 409, "no_independent_test_set", json={**BODY, "part": "test"})


async def test_what_is_no_longer_wanted_is_not_imported(alice):
    dataset = (await alice.create(test_mode="independent"))["id"]
    begun = await alice.begin(dataset, ONE_PART, "test")
    await alice.send(dataset, begun, ONE_PART)
    path = f"/datasets/{dataset}/uploads/{begun['id']}"
    await alice.ok("PATCH", f"/datasets/{dataset}", json={"test_mode": "ratio"})
    await alice.refused("POST", f"{path}/complete", 409, "no_independent_test_set")
    found = await alice.ok("GET", path)
    assert (found["state"], found["parts"]) == ("open", [1])
    await alice.ok("PATCH", f"/datasets/{dataset}", json={"test_mode": "independent"})
    await alice.ok("POST", f"{path}/complete", 202)


async def test_an_upload_that_is_begun_twice_with_one_key_is_one(alice, dataset):
    how = {"json": BODY, "headers": {"Idempotency-Key": "k"}}
    first = await alice.ok("POST", f"/datasets/{dataset}/uploads", 201, **how)
    assert await alice.ok("POST", f"/datasets/{dataset}/uploads", 201, **how) == first
    other = (await alice.create())["id"]
    await alice.refused("POST", f"/datasets/{other}/uploads", 422, "idempotency_key_reused", **how)


@pytest.mark.row("D2")
async def test_giving_up(place, alice, dataset, home):
    begun = await alice.begin(dataset, ARCHIVE)
    await alice.send(dataset, begun, ARCHIVE, [1, 2])
    path = f"/datasets/{dataset}/uploads/{begun['id']}"
    await alice.ok("DELETE", path, 204)
    await alice.ok("DELETE", path, 204)
    await alice.refused("PUT", f"{path}/parts/1", 409, "upload_closed", content=ARCHIVE[:SMALL_PARTS])
    await alice.refused("POST", f"{path}/complete", 409, "upload_closed")
    found = await alice.ok("GET", path)
    assert (found["state"], found["parts"]) == ("aborted", [])
    async with asyncio.timeout(60):
        while list((home / "files" / "uploads").iterdir()):
            await asyncio.sleep(0.01)


@pytest.mark.row("D2")
async def test_giving_up_while_the_archive_is_made(place, alice, dataset, monkeypatch):
    """All that was there has been tidied when the archive appears."""
    begun, files = await alice.begin(dataset, ARCHIVE), place.context.files
    await alice.send(dataset, begun, ARCHIVE)
    await alice.send(dataset, begun, ARCHIVE, [1])  # sent again it has a file of its own, so they must be joined
    path, loop, publish = f"/datasets/{dataset}/uploads/{begun['id']}", asyncio.get_running_loop(), files._publish

    async def give_up() -> None:
        await alice.ok("DELETE", path, 204)
        await nothing_to_tidy(place, storage.aborted_uploads_with_files)

    def publish_late(*args):
        asyncio.run_coroutine_threadsafe(give_up(), loop).result()
        return publish(*args)

    monkeypatch.setattr(files, "_publish", publish_late)
    await alice.refused("POST", f"{path}/complete", 409, "upload_closed")
    assert await place.keys() == []


async def nothing_to_tidy(place, left) -> None:
    """Wait until `left`, what storage says is to be tidied, is nothing."""
    async with asyncio.timeout(60):
        while True:
            async with place.context.store.reading() as connection:
                if not await left(connection):
                    return
            await asyncio.sleep(0.01)


@pytest.mark.row("D2")
async def test_whoever_completes_too_late_is_given_the_import(place, alice, dataset, monkeypatch):
    """Asked a second time before the first had its import, and on with it when that is over and tidied."""
    begun, files = await alice.begin(dataset, ONE_PART), place.context.files
    await alice.send(dataset, begun, ONE_PART)
    path, complete, made = f"/datasets/{dataset}/uploads/{begun['id']}/complete", files.complete_upload, []

    async def overtaken(*args, **more):
        monkeypatch.setattr(files, "complete_upload", complete)
        made.append(await alice.ended(await alice.ok("POST", path, 202)))
        await nothing_to_tidy(place, storage.ended_imports_with_files)
        return await complete(*args, **more)

    monkeypatch.setattr(files, "complete_upload", overtaken)
    assert (await alice.ok("POST", path, 202))["id"] == made[0]["id"]


async def test_an_upload_that_became_an_import_is_not_given_up(alice, dataset):
    queued = await alice.uploaded(dataset, ARCHIVE)
    path = f"/datasets/{dataset}/uploads/{queued['upload_id']}"
    await alice.refused("DELETE", path, 409, "illegal_state")
    await alice.refused("PUT", f"{path}/parts/1", 409, "upload_closed", content=ARCHIVE[:SMALL_PARTS])
    assert (await alice.ended(queued))["state"] == "succeeded"


@pytest.mark.row("D2")
async def test_an_abandoned_upload_is_given_up(place, alice, dataset):
    old, active = await alice.begin(dataset, ARCHIVE), await alice.begin(dataset, ARCHIVE)
    await alice.send(dataset, old, ARCHIVE, [1])
    await alice.send(dataset, active, ARCHIVE, [1])
    ages = {old["id"]: place.context.settings.upload_ttl + 1, active["id"]: place.context.settings.upload_ttl - 60}
    async with place.context.store.work() as uow:
        for upload, age in ages.items():
            await storage.note_activity(uow.connection, upload, uow.clock.now() - timedelta(seconds=age))
    assert await Tidy(place.context, lambda: ()).expire_uploads() == 1
    assert (await alice.ok("GET", f"/datasets/{dataset}/uploads/{old['id']}"))["state"] == "aborted"
    found = await alice.ok("GET", f"/datasets/{dataset}/uploads/{active['id']}")
    assert (found["state"], found["parts"]) == ("open", [1])


async def test_an_upload_belongs_to_its_dataset(alice, dataset):
    other = (await alice.create())["id"]
    begun = await alice.begin(dataset, ARCHIVE)
    for method, inside in (("GET", ""), ("DELETE", ""), ("PUT", "/parts/1"), ("POST", "/complete")):
        await alice.refused(method, f"/datasets/{other}/uploads/{begun['id']}{inside}", 404, "upload_not_found")
    await alice.refused("GET", f"/datasets/{dataset}/uploads/up-nothing", 404, "upload_not_found")


async def test_deleting_the_dataset_ends_its_uploads(place, alice, dataset):
    begun = await alice.begin(dataset, ARCHIVE)
    await alice.send(dataset, begun, ARCHIVE, [1])
    await alice.ok("DELETE", f"/datasets/{dataset}", 204)
    path = f"/datasets/{dataset}/uploads/{begun['id']}/parts/2"
    await alice.refused("PUT", path, 404, "dataset_not_found", content=ARCHIVE[SMALL_PARTS : 2 * SMALL_PARTS])


@pytest.mark.row("D2")
async def test_a_full_disk_refuses_the_part_and_keeps_the_upload(open_place, home, small_disk):
    """The file store is on a disk of 3 MB: 4 parts of 1 MB don't fit, and after room was made they do."""
    home.mkdir()
    disk = small_disk(3 << 20)
    (home / "files").symlink_to(disk)
    content = os.urandom(4 << 20)
    async with open_place(part_bytes=1 << 20) as place:
        alice = place.desk()
        dataset = (await alice.create())["id"]
        begun = await alice.begin(dataset, content)
        await alice.send(dataset, begun, content, [1, 2])
        path = f"/datasets/{dataset}/uploads/{begun['id']}"
        problem = await alice.refused("PUT", f"{path}/parts/3", 507, "storage_full", content=content[2 << 20 : 3 << 20])
        assert "Free some space" in problem["detail"]
        assert (await alice.ok("GET", path))["parts"] == [1, 2]
        assert list((disk / "drafts").iterdir()) == [], "nothing half written is left"
        await alice.ok("DELETE", path, 204)
        async with asyncio.timeout(60):
            while list((disk / "uploads").iterdir()):
                await asyncio.sleep(0.01)
        small = zipped(pictures())
        assert (await alice.imported(dataset, small))["state"] == "succeeded", "the platform goes on"


@pytest.mark.row("D2")
async def test_a_disk_that_is_full_when_the_parts_are_joined(open_place, home, small_disk):
    home.mkdir()
    disk = small_disk(5 << 20)
    (home / "files").symlink_to(disk)
    content = os.urandom(3 << 20)
    async with open_place(part_bytes=1 << 20) as place:
        alice = place.desk()
        dataset = (await alice.create())["id"]
        begun = await alice.begin(dataset, content)
        await alice.send(dataset, begun, content)
        await alice.send(dataset, begun, content, [1])  # sent again it has a file of its own, so they must be joined
        path = f"/datasets/{dataset}/uploads/{begun['id']}"
        await alice.refused("POST", f"{path}/complete", 507, "storage_full")
        found = await alice.ok("GET", path)
        assert (found["state"], found["parts"]) == ("open", [1, 2, 3])
        assert await place.keys() == []
