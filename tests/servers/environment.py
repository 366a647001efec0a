"""Servers that are Python packages live in an environment of their own, so that what they need stays out of ours."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[2] / ".cache" / "servers"
"""Kept from run to run; `make clean` removes it."""


def environment(name: str, *requirements: str) -> Path:
    """The `bin` of a virtual environment that has these, made by the first who asks. Fails the test where that can't
    be done."""
    digest = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:12]
    place = CACHE / f"{name}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / ".complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            _make(place, requirements)
            (place / ".complete").touch()
    return place / "bin"


def _make(place: Path, requirements: tuple[str, ...]) -> None:
    uv = Path(sys.executable).parent / "uv"
    install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", place / "bin" / "python", *requirements]
    make: list[str | Path] = [uv, "venv", "--quiet", "--python", sys.executable, place]
    for command in (make, install):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            wanted = " ".join(requirements)
            pytest.fail(f"{wanted} could not be installed for the tests:\n{done.stderr[-2000:]}", pytrace=False)
