"""`datasets-import`: archives unpacked, checked, hashed, packed and indexed, against `unzip` and `bsdtar`, which only
unpack.

All run as processes started afresh, read the same archive and write to the same tmpfs, in turns. "One" holds the
import and its child to one processor; "two" lets them have what there is. CPU is user and system time of all their
processes, which says something on a busy machine too. Environment: MODELYARD_BENCH_IMPORT_FILES (50,000 of 4 KiB),
MODELYARD_BENCH_IMPORT_TINY (100,000 of 64 bytes; the goal speaks of 1,000,000), MODELYARD_BENCH_IMPORT_LARGE (256 MiB
in one archive; the goal speaks of 5 GB).
"""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.house import median, row
from dataset_svc.importing import ImportRequest, ImportResult, Progress, import_archive
from tests.servers.packages import ensure

NAME = "datasets-import"
FILES = int(os.environ.get("MODELYARD_BENCH_IMPORT_FILES", 50_000))
TINY = int(os.environ.get("MODELYARD_BENCH_IMPORT_TINY", 100_000))
LARGE = int(os.environ.get("MODELYARD_BENCH_IMPORT_LARGE", 256 << 20))
FILE_BYTES, TINY_BYTES, LARGER_BYTES, LARGE_FILE = 4 << 10, 64, 16 << 10, 32 << 20
CLASSES = 10
ROUNDS, TINY_ROUNDS = 5, 3
GOAL_ONE, GOAL_TWO, GOAL_TINY = 0.9, 1.3, 1.0
GOAL_MEMORY, LARGE_MEMORY_MB, INDEX = 1.15, 300, 1.001
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Took:
    """What one run took: seconds on the clock, and of processors."""

    wall: float
    cpu: float


Runs = dict[str, list[Took]]
Work = Callable[[Path], object]
"""Unpacks or imports into that folder, which is not there yet."""


def run() -> list[dict]:
    """Files a second, memory and disk."""
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-", dir=tmpfs()) as name:
        folder = Path(name)
        return [*_small(folder), *_tiny(folder), *_memory(folder), *_large(folder)]


def _small(folder: Path) -> list[dict]:
    """Many small files, on one processor and on all."""
    archive = make(folder / "many.zip", FILES, FILE_BYTES)
    runs = in_turns(
        ROUNDS,
        folder / "target",
        {
            "unzip": partial(unzip, archive),
            "one": partial(on_one_processor, partial(imported, archive)),
            "bsdtar": partial(bsdtar, archive),
            "two": partial(imported, archive),
        },
    )
    archive.unlink()
    return [
        _rate("import.files, one processor, of unzip", runs, "one", "unzip", FILES, GOAL_ONE),
        _rate("import.files, two, of unzip", runs, "two", "unzip", FILES, GOAL_TWO),
        _rate("import.files, two, of bsdtar", runs, "two", "bsdtar", FILES, None),
        _cpu("import.files, CPU, of unzip's", runs, "two", "unzip"),
        _cpu("import.files, CPU, of bsdtar's", runs, "two", "bsdtar"),
    ]


def _tiny(folder: Path) -> list[dict]:
    """Very many tiny files, where everything but the bytes counts."""
    archive = make(folder / "tiny.zip", TINY, TINY_BYTES)
    who: dict[str, Work] = {"bsdtar": partial(bsdtar, archive), "ours": partial(imported, archive)}
    runs = in_turns(TINY_ROUNDS, folder / "target", who)
    archive.unlink()
    return [
        _rate(f"import.tiny, {TINY:,} files, of bsdtar", runs, "ours", "bsdtar", TINY, GOAL_TINY),
        _cpu("import.tiny, CPU, of bsdtar's", runs, "ours", "bsdtar"),
    ]


def _memory(folder: Path) -> list[dict]:
    """The peak with five times the files and with four times the bytes, against that of a fifth of the files."""
    sizes = ((FILES // 5, FILE_BYTES), (FILES, FILE_BYTES), (FILES // 5, LARGER_BYTES))
    fewer, many, larger = (peak(make(folder / "some.zip", *size), folder / "target") for size in sizes)
    goal = f"<= {GOAL_MEMORY} x"
    return [
        row("import.memory_5x_files", many, "MB", fewer, goal=goal, met=many <= GOAL_MEMORY * fewer),
        row("import.memory_4x_bytes", larger, "MB", fewer, goal=goal, met=larger <= GOAL_MEMORY * fewer),
    ]


def _large(folder: Path) -> list[dict]:
    """One archive of large files: the peak of memory, and of what lies on the disk beside the archive."""
    archive, content = make_large(folder / "large.zip", LARGE), LARGE // LARGE_FILE * LARGE_FILE
    out, seen = folder / "target", [0]
    began = time.perf_counter()
    result = imported(archive, out, lambda _: seen.append(size_of(out)))
    rate = content / 1e6 / (time.perf_counter() - began)
    most, memory = max(*seen, size_of(out)) / 1e6, result.peak_memory / 1e6
    shutil.rmtree(out)
    archive.unlink()
    copy, name = content / 1e6, f"import.large, {LARGE / 1e9:.2g} GB"
    return [
        row(name, rate, "MB/s", rate, goal="reported", met=True),
        row(f"{name}, memory", memory, "MB", LARGE_MEMORY_MB, goal="flat", met=memory < LARGE_MEMORY_MB),
        row(f"{name}, on disk but for it", most, "MB", copy, goal="one copy", met=most <= copy * INDEX),
    ]


def _rate(name: str, runs: Runs, ours: str, peer: str, files: int, goal: float | None) -> dict:
    """Files a second of both; runs stand side by side in time, and that of the median ratio counts."""
    pairs = sorted(zip(runs[ours], runs[peer], strict=True), key=lambda pair: pair[1].wall / pair[0].wall)
    mine, theirs = (files / took.wall for took in pairs[len(pairs) // 2])
    told = "reported" if goal is None else f">= {goal} x {peer}"
    return row(name, mine, "files/s", theirs, goal=told, met=goal is None or mine >= goal * theirs)


def _cpu(name: str, runs: Runs, ours: str, peer: str) -> dict:
    mine, theirs = (median(took.cpu for took in runs[who]) for who in (ours, peer))
    return row(name, mine, "s", theirs, goal="reported", met=True)


def in_turns(rounds: int, target: Path, who: dict[str, Work]) -> Runs:
    """What each took, one after the other, again and again."""
    runs: Runs = {name: [] for name in who}
    for _ in range(rounds):
        for name, work in who.items():
            cpu, began = _used(), time.perf_counter()
            work(target)
            runs[name].append(Took(time.perf_counter() - began, _used() - cpu))
            shutil.rmtree(target)
    return runs


def _used() -> float:
    """Seconds of processors that this process and its children that ended have used."""
    ours = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in ours)


def unzip(archive: Path, target: Path) -> None:
    """Unpack by Info-ZIP."""
    program = ensure("unzip", lambda: _which("unzip"))
    subprocess.run([program, "-q", archive, "-d", target], check=True)


def bsdtar(archive: Path, target: Path) -> None:
    """Unpack by libarchive."""
    program = ensure("libarchive-tools", lambda: _which("bsdtar"))
    target.mkdir()
    subprocess.run([program, "-xf", archive, "-C", target], check=True)


def _which(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def imported(archive: Path, out: Path, told: Callable[[Progress], None] | None = None) -> ImportResult:
    """Import, the start of its process included."""
    result = asyncio.run(import_archive(ImportRequest(archive, out, "dir", "text/classification"), told))
    assert result.ok, result.reason
    return result


def on_one_processor(work: Work, target: Path) -> None:
    """Do it with this process and its children on one processor only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        work(target)
    finally:
        os.sched_setaffinity(0, before)


def peak(archive: Path, out: Path) -> float:
    """The import's peak resident memory in MB (10^6 bytes)."""
    memory = imported(archive, out).peak_memory / 1e6
    shutil.rmtree(out)
    archive.unlink()
    return memory


def size_of(folder: Path) -> int:
    """Bytes that the files below a folder take, while they come and go."""
    found = 0
    for above, _, names in os.walk(folder):
        for name in names:
            try:
                found += os.lstat(os.path.join(above, name)).st_size
            except FileNotFoundError:
                continue
    return found


def tmpfs() -> Path | None:
    """A folder in memory; where there is none both sides write to the ordinary temporary folder."""
    need = 3 * max(FILES * FILE_BYTES, TINY * 4096, LARGE)
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > need:
        return SHARED_MEMORY
    print("no room in /dev/shm: measuring on the temporary folder's disk", file=sys.stderr)
    return None


def make(path: Path, files: int, size: int) -> Path:
    """An archive of texts that compress as texts do, in class folders under a wrapping one."""
    chance = random.Random(7)
    words = ["".join(chance.choices("etaoinshrdlucmfwyp", k=chance.randint(2, 10))) for _ in range(2000)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(files):
            text = " ".join(chance.choices(words, k=size // 3))[:size]
            archive.writestr(f"news/topic-{number % CLASSES}/article-{number:06}.txt", text)
    return path


def make_large(path: Path, size: int) -> Path:
    """An archive of texts of 32 MiB that hardly compress."""
    text = random.Random(7).randbytes(LARGE_FILE // 2).hex().encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(size // LARGE_FILE):
            archive.writestr(f"books/topic-{number % 2}/book-{number:04}.txt", text)
    return path
