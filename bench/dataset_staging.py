"""`datasets-staging`: reading a version of many small files one after the other, as training code does, against plain
files.

All folders hold the same files: one written by staging, and two one after the other, before it and after it, because
two folders written in the same way differ by some percent by where they lie on the disk. A process started afresh
reads one class of each in the order of paths, in turns, and so class by class. `cold` is without the page cache (what
was read is dropped from it), `warm` with what that read left there.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from bench.house import median, row
from common.contracts.shared import ManifestRef
from common.files import LocalFiles
from common.manifests import store_stream
from common.manifests.store import Source
from common.ports.staging import StageRequest
from common.staging import LocalStaging
from common.staging.folder import remove_folder

NAME = "datasets-staging"
FILES = 50_000
FILE_BYTES = 4 << 10
CLASSES = 10
ROUNDS = 6
WARM_READS = 3
"""Of which the fastest counts: a twentieth of a second is soon disturbed."""
GOAL = 1.0
NOISE = 0.02
"""By how much two folders with the same files, written in the same way, differ from run to run."""

_READ = """
import os, sys, time
names = sorted(os.path.join(at, name) for at, _, names in os.walk(sys.argv[1]) for name in names)
began, total = time.perf_counter(), 0
for name in names:
    with open(name, "rb") as file:
        total += len(file.read())
print(time.perf_counter() - began, total)
"""


def run() -> list[dict[str, Any]]:
    """Files a second, with and without the page cache, and how fast the folder is filled."""
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name:
        folder = Path(name)
        before = _plain(folder / "before")
        staged, seconds = asyncio.run(_staged(folder))
        plain = (before, _plain(folder / "after"))
        rows = _compared(staged, plain)
        remove_folder(staged)
    return [*rows, row("staging: filling", FILES / seconds, "files/s", FILES / seconds, goal="reported", met=True)]


def _compared(staged: Path, plain: tuple[Path, Path]) -> list[dict[str, Any]]:
    """Class by class, all three in turns, each as often first: what is compared was read within a few seconds."""
    folders = [plain[0], staged, plain[1]]
    turns: list[dict[str, list[float]]] = []
    for number in range(ROUNDS * CLASSES):
        topic, found = f"topic-{number % CLASSES}", dict[Path, tuple[float, float]]()
        for path in folders[number % 3 :] + folders[: number % 3]:
            found[path] = _rates(path / topic)
        turns.append({kind: [found[path][at] for path in folders] for at, kind in enumerate(("cold", "warm"))})
    return [_row(kind, [turn[kind] for turn in turns]) for kind in ("cold", "warm")]


def _rates(folder: Path) -> tuple[float, float]:
    """Files a second, without the page cache and with it."""
    _drop(folder)
    cold = _read(folder)
    warm = min(_read(folder) for _ in range(WARM_READS))
    return FILES / CLASSES / cold, FILES / CLASSES / warm


def _row(kind: str, turns: list[list[float]]) -> dict[str, Any]:
    """The median of the ratios, each to the mean of the two plain folders."""
    limits = [(before + after) / 2 for before, _, after in turns]
    ratio = median([staged / limit for (_, staged, _), limit in zip(turns, limits, strict=True)])
    goal, met = f">= {GOAL} x plain files, but for {NOISE:.0%}", ratio >= GOAL - NOISE
    value = median([staged for _, staged, _ in turns])
    return row(f"staging: reading, {kind}", value, "files/s", median(limits), goal=goal, met=met, ratio=ratio)


async def _staged(folder: Path) -> tuple[Path, float]:
    """The folder that staging makes of a stored version, and the seconds it takes."""
    files = LocalFiles(folder / "store", sync=False)
    staging = LocalStaging(files, folder / "cache", limit_bytes=8 << 30)
    ref: ManifestRef = await store_stream(files, "version", _sources())
    began = time.perf_counter()
    staged = await staging.stage(StageRequest(ref))
    seconds = time.perf_counter() - began
    await staging.close()
    await files.close()
    return staged, seconds


def _content() -> Iterator[tuple[str, bytes]]:
    chance = random.Random(7)
    for number in range(FILES):
        yield f"topic-{number % CLASSES}/article-{number:06}.bin", chance.randbytes(FILE_BYTES)


def _sources() -> Iterator[Source]:
    for path, data in sorted(_content()):

        async def opened(data: bytes = data) -> AsyncIterator[bytes]:
            yield data

        yield path, len(data), opened


def _plain(folder: Path) -> Path:
    """The same files, written one after the other."""
    for path, data in sorted(_content()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def _drop(folder: Path) -> None:
    """Take what is in the folder's files out of the page cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _read(folder: Path) -> float:
    """Seconds that a process needs to read all of it."""
    done = subprocess.run([sys.executable, "-c", _READ, folder], capture_output=True, text=True, check=True)
    seconds, total = done.stdout.split()
    if int(total) != FILES // CLASSES * FILE_BYTES:
        sys.exit(f"{folder} holds {total} bytes instead of {FILES // CLASSES * FILE_BYTES}")
    return float(seconds)
