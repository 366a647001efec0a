"""One pass from archive to packs, and a report that names everything at once."""

import errno
import json
import os
import zipfile
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.kernel.errors import Invalid
from common.manifests.index import Entry
from common.manifests.pack import Packed
from dataset_svc.archives import Limits
from dataset_svc.formats import Checker, get_format
from dataset_svc.importing import Progress, Report, run_import
from dataset_svc.importing.report import KEPT
from tests.dataset_svc.archives.builder import Item, build, deflate
from tests.dataset_svc.formats.sinks import picture

IMAGES, TEXTS = "image/classification", "text/classification"


def go(tmp_path: Path, content: bytes, purpose: str = TEXTS, **more: object) -> Report:
    (tmp_path / "a.zip").write_bytes(content)
    report = run_import(tmp_path / "a.zip", tmp_path / "out", format="dir", purpose=purpose, **more)  # type: ignore[arg-type]
    assert Report.from_json(json.loads(json.dumps(report.as_json()))) == report
    assert len(list(Path("/proc/self/fd").iterdir())) < 200
    return report


def unpacked(packed: Packed) -> dict[str, bytes]:
    entries = [Entry.parse(line) for line in packed.body.read_bytes().splitlines()]
    packs = [path.read_bytes() for path in packed.objects]
    return {e.path: packs[e.object][e.offset : e.offset + e.size] for e in entries}


@pytest.mark.row("D2")
@pytest.mark.row("D5")
def test_a_good_archive_of_images(tmp_path: Path) -> None:
    files = {f"{label}/{n}.png": picture() for label in ("cat", "dog") for n in range(3)}
    report = go(tmp_path, build([Item(f"pets/{path}", data, method=0) for path, data in files.items()]), IMAGES)
    packed = Packed.load(tmp_path / "out")
    assert report.ok
    assert unpacked(packed) == files
    assert (report.digest, report.files, report.bytes) == (packed.digest, 6, sum(map(len, files.values())))
    assert report.summary["classes"] == {"cat": 3, "dog": 3}
    assert report.summary["images"]["kinds"] == {"PNG": 6}
    assert report.summary["files"] == 6


@pytest.mark.row("D12")
def test_the_digest_is_the_contents_and_not_the_archives(tmp_path: Path) -> None:
    files = {"cat/1": b"one", "cat/2": b"two", "dog/1": b"three"}
    first = go(tmp_path, build([Item(path, data) for path, data in files.items()]))
    second = go(
        tmp_path, build([Item(f"wrapped/{path}", files[path], method=0) for path in sorted(files, reverse=True)])
    )
    third = go(tmp_path, build([Item(path, data + b"!") for path, data in files.items()]))
    assert first.digest == second.digest != third.digest


@pytest.mark.row("D2")
def test_everything_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    items = [
        Item("cat/1.png", picture()),
        Item("cat/cut.png", picture()[:-30]),
        Item("dog/notes.txt", b"no image"),
        Item("dog/../../evil", b""),
        Item("dog/secret", flags=1),
        Item("dog/crc.png", picture(), crc=7),
        Item("bird/", b""),
        Item("readme.md", b"hello"),
    ]
    report = go(tmp_path, build(items), IMAGES)
    assert {(fault.code, fault.file) for fault in report.faults} == {
        ("image_damaged", "cat/cut.png"),
        ("not_an_image", "dog/notes.txt"),
        ("path_traversal", "dog/../../evil"),
        ("encrypted", "dog/secret"),
        ("crc_mismatch", "dog/crc.png"),
        ("empty_class", "bird"),
        ("outside_class", "readme.md"),
    }
    assert (report.ok, report.errors, report.warnings, report.digest) == (False, 7, 0, "")
    assert not (tmp_path / "out" / "packed.json").exists()


def test_warnings_do_not_fail_an_import(tmp_path: Path) -> None:
    report = go(tmp_path, build([Item("a/1", b""), Item("b/1", b"x")]))
    assert report.ok
    assert [(fault.severity, fault.code, fault.file) for fault in report.faults] == [("warning", "empty_text", "a/1")]


def test_a_thousand_faults_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    items = [Item(f"a/{n}", b"") for n in range(KEPT + 5)] + [Item(f"b/{n}", b"\0") for n in range(3)]
    report = go(tmp_path, build(items))
    assert (report.errors, report.warnings, len(report.faults)) == (3, KEPT + 5, KEPT)
    assert sum(fault.severity == "error" for fault in report.faults) == 3


@pytest.mark.parametrize("content", [b"", b"not a zip", build([Item("a/1"), Item("b/1")])[:-9]])
def test_an_archive_that_can_not_be_read(tmp_path: Path, content: bytes) -> None:
    report = go(tmp_path, content)
    first = report.first_error()
    assert first is not None
    assert (first.file, report.errors) == ("", 1)


def test_an_archive_without_files(tmp_path: Path) -> None:
    assert [fault.code for fault in go(tmp_path, build([])).faults] == ["empty_archive", "too_few_classes"]


def test_an_archive_that_is_not_there(tmp_path: Path) -> None:
    report = run_import(tmp_path / "gone", tmp_path / "out", format="dir", purpose=TEXTS)
    assert [fault.code for fault in report.faults] == ["archive_unreadable"]


def test_what_does_not_exist_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        run_import(tmp_path / "a", tmp_path / "out", format="other", purpose=TEXTS)


def test_large_members(tmp_path: Path) -> None:
    text = ("很长的文章。" * 300_000).encode()
    items = [Item("a/long", text, method=0), Item("b/1", b"short"), Item("b/bad", text[:-1], method=0)]
    report = go(tmp_path, build(items[:2]))
    assert report.ok
    assert unpacked(Packed.load(tmp_path / "out")) == {"a/long": text, "b/1": b"short"}
    assert report.summary["texts"]["length"]["max"] == 1_800_000
    assert [fault.file for fault in go(tmp_path, build(items)).faults] == ["b/bad"]
    text = os.urandom(1_000_000).hex().encode()
    lying = Item("b/lie", text, packed=deflate(text), crc=1)
    assert [fault.code for fault in go(tmp_path, build([*items[:2], lying, Item("b/2", b"\0")])).faults] == [
        "crc_mismatch",
        "binary_text",
    ]


def test_time_is_limited(tmp_path: Path) -> None:
    hours: Iterator[int] = count(0, 1000)
    report = go(
        tmp_path, build([Item("a/1"), Item("b/1")]), limits=Limits(seconds=100), clock=lambda: float(next(hours))
    )
    assert [fault.code for fault in report.faults] == ["time_limit"]
    hours = chain([0, 0, 0], count(0, 30))
    noise = Item("a/noise", os.urandom(6_000_000), method=0)
    report = go(tmp_path, build([noise, Item("b/1")]), limits=Limits(seconds=100), clock=lambda: float(next(hours)))
    assert "time_limit" in [fault.code for fault in report.faults]


def test_a_full_disk_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("common.manifests.packfile.os.pwrite", full)
    for size in (10, 3_000_000):
        report = go(tmp_path, build([Item("a/1", b"x" * size, method=0), Item("b/1")]))
        assert [fault.code for fault in report.faults] == ["storage_full"]
        assert not (tmp_path / "out" / "packed.json").exists()


def test_running_out_of_memory_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("common.manifests.pack.PackWriter.add_bytes", none_left)
    assert [fault.code for fault in go(tmp_path, build([Item("a/1"), Item("b/1")])).faults] == ["out_of_memory"]


def test_progress_goes_forward_to_the_end(tmp_path: Path) -> None:
    told: list[Progress] = []
    ticks = iter(range(10**9))
    items = [Item(f"{label}/{n}", os.urandom(1500).hex().encode(), method=0) for label in "ab" for n in range(1000)]
    go(tmp_path, build(items), progress=told.append, clock=lambda: float(next(ticks)))
    assert told[0].phase == "checking"
    assert told[-1].phase == "indexing"
    assert {progress.phase for progress in told[1:-1]} == {"importing"}
    assert [progress.files for progress in told] == sorted(progress.files for progress in told)
    assert (told[-1].files, told[-1].total_files, told[-1].bytes) == (2000, 2000, told[-1].total_bytes)
    assert told[-1].rate > 0


def test_what_zipfile_makes_of_a_folder(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.mkdir("ds")
        archive.mkdir("ds/cat")
        archive.mkdir("ds/dog")
        archive.writestr("ds/cat/一.txt", "一")
        archive.writestr("ds/dog/二.txt", "二")
    report = go(tmp_path, (tmp_path / "z.zip").read_bytes())
    assert report.ok
    assert report.summary["classes"] == {"cat": 1, "dog": 1}


class Failing:
    """A checker with a defect, for files of that name."""

    def __init__(self, checker: Checker, name: str) -> None:
        self._checker, self._name = checker, name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checker, name)

    def whole(self, path: str, data: bytes) -> None:
        self._fail(path)
        self._checker.whole(path, data)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in self._checker.stream(path, size, chunks):
            self._fail(path)
            yield chunk

    def finish(self) -> dict[str, Any]:
        self._fail("")
        return self._checker.finish()

    def _fail(self, path: str) -> None:
        if path == self._name:
            raise AttributeError("'int' object has no attribute 'strip'")


@pytest.mark.row("D2")
@pytest.mark.parametrize("name", ["b/small", "b/large", ""])
def test_a_checker_that_fails_is_told_with_its_file_and_the_other_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    real = get_format("dir")
    monkeypatch.setattr(
        "dataset_svc.importing.run.get_format",
        lambda _: SimpleNamespace(checker=lambda *given: Failing(real.checker(*given), name)),
    )
    items = [
        Item("a/1", b"x"),
        Item("b/small", b"x"),
        Item("b/large", os.urandom(1_500_000).hex().encode(), method=0),
        Item("b/z", b"\0"),
    ]
    report = go(tmp_path, build(items))
    assert [(fault.code, fault.file) for fault in report.faults if fault.code != "binary_text"] == [
        ("checker_failed", name)
    ]
    assert "AttributeError: 'int' object has no attribute 'strip'" in report.faults[0 if name else 1].reason
    assert ("binary_text", "b/z") in [(fault.code, fault.file) for fault in report.faults]
    assert "Traceback" in caplog.text
    assert not (tmp_path / "out" / "packed.json").exists()


def test_a_file_that_needs_too_much_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("dataset_svc.formats.texts.Texts.whole", none_left)
    report = go(tmp_path, build([Item("a/1"), Item("b/1")]))
    assert [(fault.code, fault.file) for fault in report.faults] == [("out_of_memory", "a/1"), ("out_of_memory", "b/1")]
