"""A platform to measure: a process of its own on a temporary state folder, and clients of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from embedded.commands.control import end_workloads, password_file, start, stop
from embedded.lock import Running
from embedded.settings import Settings


@contextmanager
def platform(**environment: str) -> Iterator[tuple[Running, Settings]]:
    """Start an embedded platform, and leave nothing of it behind."""
    home = Path(tempfile.mkdtemp(prefix="modelyard-bench-"))
    home.chmod(0o711)  # workloads of other users must be able to pass through to their own folders
    before = dict(os.environ)
    os.environ.update({"YARD_LOG_LEVEL": "WARNING", **environment})
    settings = Settings(home=home, port=0)
    try:
        yield start(settings), settings
    finally:
        stop(settings, quietly=True)
        asyncio.run(end_workloads(home))
        shutil.rmtree(home, ignore_errors=True)
        os.environ.clear()
        os.environ.update(before)


def password(settings: Settings) -> str:
    """The first administrator's password."""
    return password_file(settings.home).read_text().strip()


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which that part (0–1) of the values lies."""
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


def row(name: str, value: float, unit: str, limit: float, *, goal: str, met: bool, ratio: float | None = None) -> dict:
    """A figure: `limit` was measured in the same run unless the goal is a fixed number."""
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "limit": round(limit, 4),
        "ratio": round(value / limit if ratio is None else ratio, 4),
        "goal": goal,
        "met": bool(met),
    }


median = statistics.median
