"""Archives that strangers pack: each is a failed import whose report names file and reason, and the dataset stays."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.dataset_svc.archives.builder import Item, build, deflate
from tests.journeys.steps import PATIENCE
from tests.support.data import images_zip, picture
from tests.support.process import PlatformProcess, left_over
from yard import Client, YardError

PNG = picture("stripes", 1)
GOOD = [Item(f"{label}/{n}.png", picture("circles", n), method=0) for label in ("cat", "dog") for n in range(2)]

HOSTILE: dict[str, tuple[bytes, str, str]] = {
    "dot-dot": (build([*GOOD, Item("../../evil.png", PNG)]), "path_traversal", "../../evil.png"),
    "absolute": (build([*GOOD, Item("/etc/evil.png", PNG)]), "path_absolute", "/etc/evil.png"),
    "link": (build([*GOOD, Item("cat/link.png", b"/etc/passwd", mode=0o120777)]), "link", "cat/link.png"),
    "device": (build([*GOOD, Item("cat/sda.png", b"", mode=0o060660)]), "special_file", "cat/sda.png"),
    "same name after Unicode folding": (
        build([*GOOD, Item("cat/é.png", PNG), Item("cat/e\u0301.png", PNG)]),
        "duplicate_name",
        "cat/é.png",
    ),
    "same name after case folding": (
        build([*GOOD, Item("cat/a.png", PNG), Item("cat/A.PNG", PNG)]),
        "duplicate_name",
        "cat/A.PNG",
    ),
    "ratio bomb": (
        build([*GOOD, Item("cat/zeros.png", packed=deflate(bytes(10_000_000)), size=10_000_000)]),
        "ratio_bomb",
        "",
    ),
    "encrypted": (build([*GOOD, Item("cat/secret.png", PNG, flags=1)]), "encrypted", "cat/secret.png"),
    "empty class": (build([*GOOD, Item("bird/", b"")]), "empty_class", "bird"),
    "no image": (build([*GOOD, Item("cat/notes.png", b"just words")]), "not_an_image", "cat/notes.png"),
    "image cut off": (build([*GOOD, Item("cat/cut.png", PNG[:-20])]), "image_damaged", "cat/cut.png"),
}


def overlapping() -> bytes:
    """Several directory entries share one run of data (the bomb of 2019)."""
    return build([*GOOD, Item("cat/k.png", PNG), *(Item(f"cat/{n}.png", b"", packed=b"", offset=0) for n in (7, 8, 9))])


@pytest.fixture(scope="module")
def dataset(alice: Client, folder: Path) -> Any:
    """A dataset that has a version already."""
    made = alice.datasets.create("under attack", purpose="image/classification")
    alice.datasets.import_(made["id"], images_zip(folder / "good.zip", 2), timeout=PATIENCE)
    return alice.datasets.online(made["id"])


def failed_import(alice: Client, dataset: Any, content: bytes, folder: Path) -> tuple[Any, YardError]:
    """The import that an archive came to, and what the client says of it."""
    archive = folder / "hostile.zip"
    archive.write_bytes(content)
    begun = alice.datasets.upload(dataset["id"], archive)
    with pytest.raises(YardError) as told:
        alice.datasets.wait_import(dataset["id"], begun["id"], timeout=PATIENCE)
    return alice.datasets.show_import(dataset["id"], begun["id"]), told.value


def check_nothing_changed(platform: PlatformProcess, alice: Client, dataset: Any, files: Sequence[Any]) -> None:
    now = alice.datasets.show(dataset["id"])
    assert (now["state"], now["current_version"]) == (dataset["state"], dataset["current_version"])
    assert len(alice.datasets.versions(dataset["id"])) == 1
    platform.settled_facts()
    kept = [name for (name,) in platform.facts()["files"] if "upload" not in name and "archive" not in name]
    assert kept == files


@pytest.fixture(scope="module")
def kept_files(platform: PlatformProcess, dataset: Any) -> list[Any]:
    return [name for (name,) in platform.settled_facts()["files"] if "upload" not in name and "archive" not in name]


@pytest.mark.row("D2")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_a_failed_import(
    platform: PlatformProcess, alice: Client, dataset: Any, folder: Path, kept_files: list[Any], kind: str
) -> None:
    content, code, file = HOSTILE[kind]
    ended, told = failed_import(alice, dataset, content, folder)
    assert (ended["state"], ended["code"], ended["version_number"]) == ("failed", code, None)
    [fault] = [one for one in ended["report"]["faults"] if one["severity"] == "error"]
    assert fault["code"] == code
    assert unicodedata.normalize("NFC", fault["file"]).casefold() == (file.casefold() or fault["file"])
    assert fault["reason"].endswith(".")
    assert told.code == "import_failed"
    assert fault["reason"] in str(told)
    check_nothing_changed(platform, alice, dataset, kept_files)


@pytest.mark.row("D2")
@pytest.mark.parametrize(
    ("content", "code"),
    [(overlapping(), "overlap"), (build(GOOD)[:-30], "truncated"), (b"this is no archive at all", "unknown_archive")],
    ids=["overlapping entries", "truncated end", "no archive"],
)
def test_an_archive_that_lies_as_a_whole(
    platform: PlatformProcess,
    alice: Client,
    dataset: Any,
    folder: Path,
    kept_files: list[Any],
    content: bytes,
    code: str,
) -> None:
    ended, _ = failed_import(alice, dataset, content, folder)
    assert (ended["state"], ended["code"]) == ("failed", code)
    assert ended["reason"]
    check_nothing_changed(platform, alice, dataset, kept_files)


@pytest.mark.row("D2")
def test_names_in_gbk_become_what_they_mean(alice: Client, folder: Path) -> None:
    names = [f"{label}/图{n}.png" for label in ("猫", "狗") for n in range(2)]
    archive = folder / "gbk.zip"
    archive.write_bytes(build([Item(name.encode("gbk"), picture("circles", 1), method=0) for name in names]))
    made = alice.datasets.create("中文名", purpose="image/classification")
    alice.datasets.import_(made["id"], archive, timeout=PATIENCE)
    assert alice.datasets.version(made["id"], 1)["classes"] == {"猫": 2, "狗": 2}
    assert [one["path"] for one in alice.datasets.samples(made["id"])] == sorted(names)


@pytest.mark.row("D2")
def test_everything_that_is_wrong_is_in_one_report_and_no_child_is_left(
    platform: PlatformProcess, alice: Client, dataset: Any, folder: Path
) -> None:
    wrong = [Item("cat/cut.png", PNG[:-20]), Item("dog/../evil", b""), Item("readme.md", b"hi"), Item("bird/", b"")]
    ended, told = failed_import(alice, dataset, build([*GOOD, *wrong]), folder)
    found = {(one["code"], one["file"]) for one in ended["report"]["faults"]}
    assert found == {
        ("image_damaged", "cat/cut.png"),
        ("path_traversal", "dog/../evil"),
        ("outside_class", "readme.md"),
        ("empty_class", "bird"),
    }
    assert len(told.faults) == len(found)
    assert all(str(platform.pid) == one.partition(":")[0] for one in left_over(platform.home))


@pytest.mark.row("D2")
def test_parts_that_are_wrong(alice: Client, dataset: Any) -> None:
    at = f"datasets/{dataset['id']}/uploads"
    begun = alice.http.create(at, {"part": "train", "filename": "x.zip", "size": 10})
    parts = f"{at}/{begun['id']}/parts"
    for number, content, status in ((0, b"x" * 10, 422), (2, b"x" * 10, 422), (1, b"x" * 11, 413), (1, b"x" * 9, 422)):
        with pytest.raises(YardError) as told:
            alice.http.send("PUT", f"{parts}/{number}", content=content)
        assert told.value.status == status, (number, len(content), told.value)
    wrong = {"X-Content-SHA256": "0" * 64}
    with pytest.raises(YardError) as told:
        alice.http.send("PUT", f"{parts}/1", content=b"x" * 10, headers=wrong)
    assert told.value.status == 422
    with pytest.raises(YardError) as told:
        alice.http.act(f"{at}/{begun['id']}/complete")
    assert told.value.status in (409, 422)
    assert alice.http.get(f"{at}/{begun['id']}")["parts"] == []
    alice.http.delete(f"{at}/{begun['id']}")
