"""Imports over HTTP: what becomes a version, what becomes a report, and that nothing is in between."""

import asyncio
import os

import pytest

from common.kernel.errors import StorageFull
from dataset_svc.importing import ImportRequest, Progress, import_archive
from dataset_svc.reconcile import imports as loop
from dataset_svc.reconcile.workplace import Workplace
from tests.dataset_svc.archives.builder import Item, build
from tests.dataset_svc.conftest import TEXTS, pictures, png, zipped


def good(*more: Item, cats: int = 2) -> bytes:
    """A good archive with these members besides."""
    items = [Item(f"cat/{number}.png", png(number)) for number in range(cats)]
    return build([*items, Item("dog/1.png", png(200)), *more])


TRUNCATED = good()[:-30]
ENCRYPTED = Item("cat/secret.png", png(9), flags=1)
LINK = Item("cat/link.png", b"/etc/passwd", mode=0o120777)
DEVICE = Item("cat/null", b"", mode=0o020666)
BOMB = Item("cat/bomb.png", bytes(64 << 20))
CUT_OFF = Item("cat/half.png", png(3, (64, 64))[:-40])


class Gate:
    """Holds imports back where their child would be started, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = asyncio.Event()
        self.started: list[ImportRequest] = []
        self.stopped = 0
        monkeypatch.setattr(loop, "import_archive", self)

    async def __call__(self, request, on_progress):
        self.started.append(request)
        on_progress(Progress("importing", 50, 200, 3, 9, 1234.5))
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.stopped += 1
            raise
        return await import_archive(request, on_progress)

    async def reached(self, count: int = 1) -> None:
        async with asyncio.timeout(120):
            while len(self.started) < count:
                await asyncio.sleep(0.005)


@pytest.fixture
def gate(monkeypatch):
    return Gate(monkeypatch)


@pytest.mark.row("D2")
@pytest.mark.parametrize(
    ("archive", "code", "file"),
    [
        (good(Item("../../etc/passwd", b"x")), "path_traversal", "../../etc/passwd"),
        (good(Item("/etc/passwd", b"x")), "path_absolute", "/etc/passwd"),
        (good(LINK), "link", "cat/link.png"),
        (good(DEVICE), "special_file", "cat/null"),
        (good(Item("Cat/0.PNG", png(5)), Item("cat/0.png", png(6))), "duplicate_name", "cat/0.png"),
        (good(ENCRYPTED), "encrypted", "cat/secret.png"),
        (good(BOMB), "ratio_bomb", "cat/bomb.png"),
        (TRUNCATED, None, ""),
        (good(Item("bird/", b"", method=0)), "empty_class", "bird"),
        (good(Item("cat/notes.txt", b"no picture")), "not_an_image", "cat/notes.txt"),
        (good(CUT_OFF), "image_damaged", "cat/half.png"),
        (good(Item("readme.png", png(7))), "outside_class", "readme.png"),
        (b"this is no archive at all", "unknown_archive", ""),
        (b"Rar!\x1a\x07\x01\x00" + b"x" * 100, "truncated", ""),
        (build([]), "empty_archive", ""),
    ],
)
async def test_a_bad_archive_fails_with_a_report_and_the_dataset_stays(place, alice, archive, code, file):
    before = await alice.filled()
    path = f"/datasets/{before['id']}"
    done = await alice.imported(before["id"], archive)
    assert (done["state"], done["version_number"]) == ("failed", None)
    faults = done["report"]["faults"]
    assert faults, done
    if code is not None:
        assert done["code"] == code, done
        assert code in {fault["code"] for fault in faults}
        assert file in {fault["file"] for fault in faults}
    assert all(fault["reason"] for fault in faults)
    assert done["reason"]
    after = await alice.ok("GET", path)
    assert {**after, "imports": []} == {**before, "imports": []}, "the dataset is as it was"
    assert after["imports"][0]["report"] == done["report"], "the report is kept"
    events = await place.events(before["id"])
    assert [event.type for event in events] == ["dataset.imported", "dataset.import_failed"]
    assert events[-1].data["import_id"] == done["id"]
    assert (events[-1].data["code"], events[-1].data["reason"]) == (done["code"], done["reason"])
    await place.tidied(f"datasets/{before['id']}/uploads/")
    assert await place.keys(f"datasets/{before['id']}/{done['id']}/") == []


@pytest.mark.row("D2")
async def test_names_from_a_chinese_windows_are_read(alice):
    folders = {"猫": "猫".encode("gbk"), "狗": "狗".encode("gbk")}
    items = [Item(raw + b"/" + "图片".encode("gbk") + b".png", png(n)) for n, raw in enumerate(folders.values())]
    made = await alice.create()
    done = await alice.imported(made["id"], build(items))
    assert done["state"] == "succeeded", done
    version = (await alice.ok("GET", f"/datasets/{made['id']}"))["current_version"]
    assert version["classes"] == {"狗": 1, "猫": 1}


@pytest.mark.row("D2")
async def test_text_datasets(alice):
    made = await alice.create(purpose=TEXTS)
    content = {"sport/1.txt": "足球".encode(), "sport/2.txt": b"ball", "news/1.txt": "新闻".encode("gb18030")}
    assert (await alice.imported(made["id"], content))["state"] == "succeeded"
    version = (await alice.ok("GET", f"/datasets/{made['id']}"))["current_version"]
    assert version["classes"] == {"news": 1, "sport": 2}
    assert version["train"]["figures"]["texts"]["encodings"] == {"utf-8": 2, "gb18030": 1}


@pytest.mark.row("D12")
async def test_versions_are_immutable_and_named_by_their_content(place, alice):
    made = await alice.filled(pictures(shade=0))
    path = f"/datasets/{made['id']}"

    again = await alice.imported(made["id"], zipped(dict(reversed(pictures(shade=0).items()))))
    assert (again["state"], again["version_number"], again["unchanged"]) == ("succeeded", 1, True)
    same = await alice.ok("GET", path)
    assert (same["version"], same["current_version"]) == (made["version"], made["current_version"])
    await place.tidied(f"{path[1:]}/", 2)

    second = await alice.imported(made["id"], pictures(shade=30))
    assert (second["version_number"], second["unchanged"]) == (2, False)
    back = await alice.imported(made["id"], pictures(shade=0))
    assert (back["version_number"], back["unchanged"]) == (3, False)

    versions = (await alice.ok("GET", f"{path}/versions"))["items"]
    assert [version["number"] for version in versions] == [3, 2, 1]
    assert versions[2] == made["current_version"], "the first is as it was"
    assert versions[0]["digest"] == versions[2]["digest"] != versions[1]["digest"]
    assert versions[0]["train"]["manifest"] == versions[2]["train"]["manifest"], "stored once"
    assert await alice.ok("GET", f"{path}/versions/2") == versions[1]
    await alice.refused("GET", f"{path}/versions/4", 404, "version_not_found")
    await alice.refused("GET", f"{path}/versions/x", 422, "invalid_request")
    assert await place.told(made["id"]) == ["dataset.imported"] * 3
    assert [event.data["version"]["number"] for event in await place.events(made["id"])] == [1, 2, 3]


@pytest.mark.row("D12", "D6")
async def test_a_new_version_of_an_online_dataset_is_told_to_those_who_use_it(place, alice):
    made = await alice.online()
    await alice.imported(made["id"], pictures(shade=30))
    assert await place.told(made["id"]) == ["dataset.imported", "dataset.online", "dataset.imported", "dataset.changed"]
    changed = (await place.events(made["id"]))[-1]
    assert (changed.data["online"], changed.data["version"]["number"]) == (True, 2)
    assert (await alice.ok("GET", f"/datasets/{made['id']}"))["online"]


@pytest.mark.row("D2", "D8", "D12")
async def test_an_independent_test_set_needs_both_parts(place, alice):
    made = await alice.create(test_mode="independent")
    path = f"/datasets/{made['id']}"
    first = await alice.imported(made["id"], pictures(shade=0), "train")
    assert (first["state"], first["version_number"], first["unchanged"]) == ("succeeded", None, False)
    half = await alice.ok("GET", path)
    assert (half["state"], half["missing_parts"], half["current_version"]) == ("empty", ["test"], None)
    problem = await alice.refused("POST", f"{path}/online", 409, "dataset_empty")
    assert problem["missing"] == ["test"]
    assert await place.told(made["id"]) == []
    await alice.imported(made["id"], pictures(shade=10), "train")
    await place.tidied(f"{path[1:]}/{first['id']}/")

    whole = await alice.imported(made["id"], pictures(1, 1, shade=50), "test")
    assert whole["version_number"] == 1
    version = (await alice.ok("POST", f"{path}/online"))["current_version"]
    assert (version["files"], version["train"]["files"], version["test"]["files"]) == (7, 5, 2)
    assert version["classes"] == {"cat": 4, "dog": 3}
    later = await alice.imported(made["id"], pictures(shade=20), "train")
    assert later["version_number"] == 2
    newest = await alice.ok("GET", f"{path}/versions/2")
    assert newest["test"] == version["test"], "the test set is taken as it was"
    snapshot = (await place.events(made["id"]))[-1].data["version"]
    assert snapshot["test"] == version["test"]["manifest"]
    items = (await alice.ok("GET", f"{path}/samples?part=test"))["items"]
    assert [item["path"] for item in items] == ["cat/0.png", "dog/0.png"]
    assert (await alice.client.get(items[0]["url"].removeprefix("/api/v1"))).content == png(50)


@pytest.mark.row("D2")
async def test_imports_of_one_dataset_run_one_after_the_other(place, alice, gate):
    made, other = await alice.create(), await alice.create(name="other")
    first = await alice.uploaded(made["id"], zipped(pictures(shade=0)))
    await gate.reached()
    second = await alice.uploaded(made["id"], zipped(pictures(shade=30)))
    beside = await alice.uploaded(other["id"], zipped(pictures()))
    await gate.reached(2)
    states = {
        item["id"]: (await alice.ok("GET", f"/datasets/{item['dataset_id']}/imports/{item['id']}"))["state"]
        for item in (first, second, beside)
    }
    assert states == {first["id"]: "running", second["id"]: "queued", beside["id"]: "running"}
    gate.opened.set()
    assert [(await alice.ended(item))["version_number"] for item in (first, second, beside)] == [1, 2, 1]


@pytest.mark.row("D2")
async def test_progress_is_seen(place, alice, gate):
    made = await alice.create()
    archive = zipped(pictures())
    queued = await alice.uploaded(made["id"], archive)
    assert (queued["bytes_total"], queued["files_done"], queued["progress"]) == (len(archive), 0, 0.0)
    await gate.reached()
    path = f"/datasets/{made['id']}"
    found = await alice.ok("GET", f"{path}/imports/{queued['id']}")
    assert (found["state"], found["phase"], found["rate"]) == ("running", "importing", 1234.5)
    assert (found["bytes_done"], found["files_done"], found["files_total"]) == (50, 3, 9)
    assert 0 < found["progress"] < 1
    assert (await alice.ok("GET", path))["imports"] == [found]
    assert (await alice.ok("GET", "/datasets"))["items"][0]["imports"] == [found]
    assert (await alice.ok("GET", f"{path}/imports"))["items"] == [found]
    place.context.ring()
    async with asyncio.timeout(60):
        while (await elsewhere(place, path, queued["id"]))["rate"] != 1234.5:
            await asyncio.sleep(0.01)
    gate.opened.set()
    assert (await alice.ended(queued))["progress"] == 1.0


async def elsewhere(place, path, import_id):
    """An import as another instance of the service would show it: from the database alone."""
    known = dict(place.context.progress)
    place.context.progress.clear()
    try:
        return await place.desk().ok("GET", f"{path}/imports/{import_id}")
    finally:
        place.context.progress.update(known)


@pytest.mark.row("D2")
@pytest.mark.parametrize("by", ["cancel", "delete"])
async def test_a_running_import_is_stopped(place, alice, gate, by):
    made = await alice.create()
    path = f"/datasets/{made['id']}"
    first = await alice.uploaded(made["id"], zipped(pictures()))
    await gate.reached()
    second = await alice.uploaded(made["id"], zipped(pictures(shade=9)))
    if by == "cancel":
        for item in (second, first):
            cancelled = await alice.ok("POST", f"{path}/imports/{item['id']}/cancel")
            assert cancelled["state"] == "cancelled"
            await alice.refused("POST", f"{path}/imports/{item['id']}/cancel", 409, "illegal_state")
    else:
        await alice.ok("DELETE", path, 204)
    async with asyncio.timeout(60):
        while not gate.stopped:
            await asyncio.sleep(0.01)
    await place.tidied(f"{path[1:]}/")
    assert len(gate.started) == 1
    assert await place.told(made["id"]) == ([] if by == "cancel" else ["dataset.deleted"])
    if by == "cancel":
        assert (await alice.ok("GET", path))["state"] == "empty"
        gate.opened.set()
        assert (await alice.imported(made["id"], pictures()))["version_number"] == 1


@pytest.mark.row("D2")
async def test_a_cancel_that_comes_too_late_for_the_work_is_still_obeyed(place, alice, monkeypatch):
    """The import is cancelled while its result is being applied: nothing of it is seen."""
    made = await alice.create()
    path = f"/datasets/{made['id']}"
    store = Workplace.store

    async def cancel_first(self, result):
        content = await store(self, result)
        await alice.ok("POST", f"{path}/imports/{self._item.id}/cancel")
        return content

    monkeypatch.setattr(Workplace, "store", cancel_first)
    done = await alice.imported(made["id"], pictures())
    assert done["state"] == "cancelled"
    await place.tidied(f"{path[1:]}/")
    assert (await alice.ok("GET", path))["state"] == "empty"
    assert await place.told(made["id"]) == []


@pytest.mark.row("D2")
async def test_an_import_goes_on_after_a_restart(open_place, gate):
    async with open_place() as place:
        alice = place.desk()
        made = await alice.create()
        queued = await alice.uploaded(made["id"], zipped(pictures()))
        await gate.reached()
    assert gate.stopped == 1
    gate.opened.set()
    async with open_place() as place:
        alice = place.desk()
        done = await alice.ended(queued)
        assert (done["state"], done["version_number"]) == ("succeeded", 1)
        assert await place.told(made["id"]) == ["dataset.imported"]
        await place.tidied(f"datasets/{made['id']}/", 2)
        await place.swept()


@pytest.mark.row("D2")
async def test_a_disk_that_is_full_while_unpacking(open_place, tmp_path, small_disk):
    """The scratch folder is on a disk of 256 KB: one archive doesn't fit, the next does."""
    disk = small_disk(256 << 10)
    noise = {f"{label}/{number}.txt": os.urandom(3000).hex().encode() for label in "ab" for number in range(200)}
    async with open_place(scratch=disk, part_bytes=4 << 20) as place:
        alice = place.desk()
        made = await alice.create(purpose=TEXTS)
        done = await alice.imported(made["id"], noise)
        assert (done["state"], done["code"]) == ("failed", "storage_full")
        assert "Free some space" in done["reason"]
        assert (await alice.ok("GET", f"/datasets/{made['id']}"))["state"] == "empty"
        await place.tidied(f"datasets/{made['id']}/")
        await place.swept()
        assert (await alice.imported(made["id"], {"a/1.txt": b"x", "b/1.txt": b"y"}))["state"] == "succeeded"


@pytest.mark.row("D2")
async def test_a_store_that_is_full_publishes_nothing(place, alice, monkeypatch):
    made = await alice.create()
    put_file = place.context.files.put_file

    async def full(key, path, *, move=False):
        raise StorageFull("storage_full", f"There is no room for {key}. Free some space and try again.")

    monkeypatch.setattr(place.context.files, "put_file", full)
    done = await alice.imported(made["id"], pictures())
    assert (done["state"], done["code"]) == ("failed", "storage_full")
    assert (await alice.ok("GET", f"/datasets/{made['id']}"))["current_version"] is None
    await place.tidied(f"datasets/{made['id']}/")
    monkeypatch.setattr(place.context.files, "put_file", put_file)
    assert (await alice.imported(made["id"], pictures()))["state"] == "succeeded"


async def test_an_import_belongs_to_its_dataset(alice):
    made, other = await alice.filled(), await alice.create()
    item = made["imports"][0]
    await alice.refused("GET", f"/datasets/{other['id']}/imports/{item['id']}", 404, "import_not_found")
    await alice.refused("POST", f"/datasets/{other['id']}/imports/{item['id']}/cancel", 404, "import_not_found")
