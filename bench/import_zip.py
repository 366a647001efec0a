"""An archive of many small files: unpacked, checked, hashed, packed and indexed, against `unzip` that only unpacks.

Both run as one process started afresh, read the same archive and write to the same tmpfs, in turns. Memory is the
import's peak resident set; its limit is the peak for a fifth of the files.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from bench.house import median, row
from dataset_svc.importing import ImportRequest, ImportResult, import_archive

NAME = "import"
FILES = 50_000
FEWER = 10_000
FILE_BYTES = 4 << 10
LARGER_BYTES = 16 << 10
CLASSES = 10
ROUNDS = 7
GOAL_RATIO = 0.9
GOAL_MEMORY = 1.15
SHARED_MEMORY = Path("/dev/shm")


def run() -> list[dict]:
    """Files a second, and peak memory with five times the files and with four times the bytes."""
    unzip = shutil.which("unzip")
    if unzip is None:
        sys.exit("The benchmark `import` measures against unzip: install it first (apt install unzip).")
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-", dir=tmpfs()) as name:
        folder = Path(name)
        archive = make(folder / "many.zip", FILES, FILE_BYTES)
        ours, theirs, peaks = [], [], []
        for _ in range(ROUNDS):
            theirs.append(FILES / unzipped(unzip, archive, folder / "unzipped"))
            seconds, result = imported(archive, folder / "imported")
            ours.append(FILES / seconds)
            peaks.append(result.peak_memory / 1e6)
        archive.unlink()
        fewer = peak(make(folder / "fewer.zip", FEWER, FILE_BYTES), folder / "imported")
        larger = peak(make(folder / "larger.zip", FEWER, LARGER_BYTES), folder / "imported")
    rate, limit = median(ours), median(theirs)
    goal = f"<= {GOAL_MEMORY} x"
    return [
        row("import.files", rate, "files/s", limit, goal=f">= {GOAL_RATIO} x unzip", met=rate >= GOAL_RATIO * limit),
        row("import.memory_5x_files", max(peaks), "MB", fewer, goal=goal, met=max(peaks) <= GOAL_MEMORY * fewer),
        row("import.memory_4x_bytes", larger, "MB", fewer, goal=goal, met=larger <= GOAL_MEMORY * fewer),
    ]


def tmpfs() -> Path | None:
    """A folder in memory; where there is none both sides write to the ordinary temporary folder."""
    if SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > 4 * FILES * FILE_BYTES:
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


def unzipped(unzip: str, archive: Path, target: Path) -> float:
    """Seconds that unzip takes."""
    began = time.perf_counter()
    subprocess.run([unzip, "-q", str(archive), "-d", str(target)], check=True)
    took = time.perf_counter() - began
    shutil.rmtree(target)
    return took


def imported(archive: Path, out: Path) -> tuple[float, ImportResult]:
    """Seconds that an import takes, the start of its process included."""
    began = time.perf_counter()
    result = asyncio.run(import_archive(ImportRequest(archive, out, "dir", "text/classification")))
    took = time.perf_counter() - began
    assert result.ok, result.reason
    shutil.rmtree(out)
    return took, result


def peak(archive: Path, out: Path) -> float:
    """The import's peak resident memory in MB (10^6 bytes)."""
    memory = imported(archive, out)[1].peak_memory / 1e6
    archive.unlink()
    return memory
