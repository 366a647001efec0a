"""The child process: confined, killed with its parent, and never more than a failed import to the platform."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from dataset_svc.archives import Limits
from dataset_svc.importing import ChildLimits, ImportRequest, ImportResult, Progress, import_archive, run_import
from tests.dataset_svc.archives.builder import Item, build
from tests.dataset_svc.archives.makers import MAKERS, libarchive
from tests.dataset_svc.archives.test_every_kind import FILES
from tests.dataset_svc.formats.sinks import picture

IMAGES, TEXTS = "image/classification", "text/classification"
GOOD = build([Item("ds/cat/1.png", picture()), Item("ds/dog/1.png", picture())])


def request(tmp_path: Path, content: bytes = GOOD, purpose: str = IMAGES, **more: object) -> ImportRequest:
    (tmp_path / "a.zip").write_bytes(content)
    return ImportRequest(tmp_path / "a.zip", tmp_path / "out", "dir", purpose, **more)  # type: ignore[arg-type]


def endless(tmp_path: Path) -> ImportRequest:
    """An import that waits for ever: its archive is a pipe that nobody writes."""
    os.mkfifo(tmp_path / "pipe")
    return ImportRequest(tmp_path / "pipe", tmp_path / "out", "dir", TEXTS)


def children() -> list[psutil.Process]:
    """Ours among all children of this process; one that ended and was not waited for yet is none."""
    return [child for child in psutil.Process().children() if "dataset_svc.importing.child" in command(child)]


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


async def until_there_is_a_child() -> psutil.Process:
    deadline = time.monotonic() + 60
    while not (found := children()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)
    return found[0]


@pytest.mark.row("D2")
async def test_a_good_archive(tmp_path: Path) -> None:
    told: list[Progress] = []
    result = await import_archive(request(tmp_path), told.append)
    assert (result.ok, result.code, result.reason, result.log) == (True, "", "", "")
    assert result.packed is not None
    assert result.packed.digest == result.report.digest
    assert all(path.exists() for path in result.packed.objects)
    phases = [progress.phase for progress in told]  # how often it tells in between, the machine decides
    assert (phases[0], set(phases[1:-1]) - {"checking", "importing"}, phases[-1]) == ("checking", set(), "indexing")
    assert 5 << 20 < result.peak_memory < 200 << 20
    assert children() == []


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of the texts, whatever they are packed with."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "a").write_bytes(MAKERS["zip"](FILES))
    return run_import(folder / "a", folder / "out", format="dir", purpose=TEXTS).digest


@pytest.mark.row("D2", "D12")
@pytest.mark.parametrize("kind", MAKERS)
async def test_an_archive_of_every_kind_passes_it(tmp_path: Path, digest: str, kind: str) -> None:
    """What each kind needs is loaded before the process gives up its rights, and is enough of it."""
    libarchive()
    result = await import_archive(request(tmp_path, MAKERS[kind](FILES), TEXTS, child=ChildLimits(uid=65534)))
    assert (result.code, result.reason, result.log) == ("", "", "")
    assert result.packed is not None
    assert (result.packed.digest, result.report.files) == (digest, len(FILES))


async def test_a_bad_archive(tmp_path: Path) -> None:
    result = await import_archive(request(tmp_path, build([Item("cat/../../1", b"x")])))
    assert (result.ok, result.code, result.packed) == (False, "path_traversal", None)
    assert result.reason.startswith("cat/../../1: Its name has a '..'")
    assert not (tmp_path / "out" / "packs").exists()


async def test_an_unknown_format_or_a_missing_archive_is_a_failed_import(tmp_path: Path) -> None:
    result = await import_archive(ImportRequest(tmp_path / "gone", tmp_path / "out", "dir", TEXTS))
    assert result.code == "archive_unreadable"
    result = await import_archive(ImportRequest(tmp_path / "gone", tmp_path / "out", "nothing", TEXTS))
    assert result.code == "unknown_format"


async def test_doing_it_again_begins_afresh(tmp_path: Path) -> None:
    (tmp_path / "out" / "packs").mkdir(parents=True)
    (tmp_path / "out" / "packs" / "pack-0").write_bytes(b"of a killed import")
    first = await import_archive(request(tmp_path))
    second = await import_archive(request(tmp_path))
    assert first.report == second.report
    assert second.ok


async def test_what_a_failed_one_left_is_removed_beside_the_loop(tmp_path: Path, monkeypatch: Any) -> None:
    """It may be millions of bytes in thousands of files, and the loop has leases to keep."""
    threads, remove = set[int](), shutil.rmtree

    def watched(*given: Any, **how: Any) -> None:
        threads.add(threading.get_ident())
        remove(*given, **how)

    monkeypatch.setattr("dataset_svc.importing.parent.shutil.rmtree", watched)
    assert not (await import_archive(request(tmp_path, b"no archive"))).ok
    assert threads
    assert threading.get_ident() not in threads


async def test_it_becomes_somebody_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    result = await import_archive(request(tmp_path, child=ChildLimits(uid=65534)))
    assert result.ok
    owner = result.packed.objects[0].stat().st_uid if result.packed else None
    assert owner == (65534 if os.geteuid() == 0 else os.geteuid())


async def test_memory_is_limited(tmp_path: Path) -> None:
    Image.new("RGBA", (7000, 7000)).save(tmp_path / "big.png", compress_level=1)
    content = build([Item("a/big.png", (tmp_path / "big.png").read_bytes(), method=0), Item("b/1.png", picture())])
    small = request(tmp_path, content, child=ChildLimits(memory=256 << 20))
    assert (await import_archive(small)).code == "image_too_large"
    none = request(tmp_path, content, child=ChildLimits(memory=16 << 20))
    result = await import_archive(none)
    assert result.code in ("out_of_memory", "import_crashed", "archive_unreadable")
    assert (await import_archive(request(tmp_path, content))).ok


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGKILL, "out_of_memory"),
        (signal.SIGSEGV, "import_crashed"),
        (signal.SIGXCPU, "time_limit"),
        (signal.SIGTERM, "import_crashed"),
    ],
)
async def test_a_child_that_dies_is_a_failed_import(tmp_path: Path, number: signal.Signals, code: str) -> None:
    running = asyncio.create_task(import_archive(endless(tmp_path)))
    (await until_there_is_a_child()).send_signal(number)
    result: ImportResult = await running
    assert (result.ok, result.code) == (False, code)
    assert result.reason.endswith(".")
    assert children() == []


async def test_time_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_svc.importing.parent._GRACE", 0.0)
    waiting = endless(tmp_path)
    limited = ImportRequest(waiting.archive, waiting.out, waiting.format, waiting.purpose, Limits(seconds=0.3))
    assert (await import_archive(limited)).code == "time_limit"
    assert children() == []


async def test_cancelling_kills_the_child(tmp_path: Path) -> None:
    running = asyncio.create_task(import_archive(endless(tmp_path)))
    child = await until_there_is_a_child()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not child.is_running()


def watching(parent: int) -> list[psutil.Process]:
    """The parent's children, once one of them has its watchman, a second thread."""
    deadline = time.monotonic() + 60
    while True:
        found = psutil.Process(parent).children()
        if any(child.num_threads() > 1 for child in found):
            return list(found)
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    script = (
        "import asyncio, pathlib, sys; from dataset_svc.importing import *\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "asyncio.run(import_archive(ImportRequest(here / 'pipe', here / 'out', 'dir', 'text/classification')))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)])
    try:
        found = watching(parent.pid)
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(found, timeout=60)
    assert alive == []


async def test_the_platforms_secrets_stay_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_SECRET", "canary")
    running = asyncio.create_task(import_archive(endless(tmp_path)))
    child = await until_there_is_a_child()
    assert "DATASET_SECRET" not in child.environ()
    running.cancel()
    await asyncio.wait([running])


async def test_a_report_that_is_too_long_is_a_failed_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_svc.importing.parent._LONGEST_LINE", 300)
    result = await import_archive(request(tmp_path))
    assert (result.ok, result.code, result.packed) == (False, "report_unreadable", None)
    assert children() == []


async def test_a_child_that_says_what_nobody_understands_is_a_failed_import_with_what_it_said_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys, time; print('{no json', flush=True); sys.stderr.write('why'); sys.stderr.close(); time.sleep(600)"
    )
    monkeypatch.setattr("dataset_svc.importing.parent._COMMAND", (sys.executable, "-c", script))
    result = await import_archive(request(tmp_path))
    assert (result.ok, result.code, result.packed) == (False, "import_crashed", None)
    assert "nobody understands" in result.reason
    assert children() == []


async def test_names_of_classes_come_as_they_are(tmp_path: Path) -> None:
    content = build([Item("猫/1.png", picture()), Item("狗🐕/1.png", picture())])
    assert (await import_archive(request(tmp_path, content))).report.summary["classes"] == {"狗🐕": 1, "猫": 1}


HOSTILE = {
    "a value that nobody wants": ("image/detection", "c.json", b'{"x": [', b'"%b",' % (b"a" * 61)),
    "a long text": ("image/detection", "c.json", b'{"imageData": "', b"abcdefgh"),
    "an entry that doesn't end": ("image/detection", "c.json", b'{"images": [{"id": [', b'{"":1},'),
    "empty lines": ("text/entity", "t.jsonl", b"", b" " * 255 + b"\n"),
    "a long line": ("text/entity", "t.jsonl", b"[", b'{"":1},'),
    "another file": ("text/entity", "t.bin", b"", b"\0" * 64),
}
ANNOTATIONS_MEMORY = 700 << 20
"""Bytes that the child may hold: an entry (16 MiB at most) can be thirty times as large as values."""


@pytest.mark.row("D2")
@pytest.mark.parametrize("name", HOSTILE)
async def test_annotations_of_any_size_are_read_in_bounded_memory(tmp_path: Path, name: str) -> None:
    purpose, path, begins, piece = HOSTILE[name]
    content = build([Item(path, begins + piece * ((80 << 20) // len(piece)))])
    (tmp_path / "a.zip").write_bytes(content)
    limits = Limits(member_ratio=1e6, total_ratio=1e6)
    result = await import_archive(ImportRequest(tmp_path / "a.zip", tmp_path / "out", "json", purpose, limits))
    assert not result.ok
    assert 0 < result.peak_memory < ANNOTATIONS_MEMORY, result.code
