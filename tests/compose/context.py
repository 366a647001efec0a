"""A copy of what a server needs of the repository, so that a run leaves nothing in the checkout and finds no `.env`."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.servers.environment import CACHE
from tests.support.process import REPOSITORY

SERVICES = ("gateway", "dataset-svc", "algo-svc", "train-svc", "notebook-svc", "serving-svc")
LOCK = REPOSITORY / "requirements-runtime.lock"
PARTS = (
    "docker-compose.yml",
    ".dockerignore",
    ".env.example",
    "docker",
    LOCK.name,
    "libs/common/src",
    *(f"services/{service}/{part}" for service in SERVICES for part in ("src", "Dockerfile")),
)
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.whl")


def copied(folder: Path) -> Path:
    """A server's copy in `folder`, without `.env` and without wheels."""
    for part in PARTS:
        source, target = REPOSITORY / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=_LEFT_OUT)
        else:
            shutil.copy2(source, target)
    return folder


def fresh_environment(folder: Path, given: Mapping[str, str] | None = None) -> str:
    """Make a copy's `.env` as its guide says; what the script printed."""
    script = [sys.executable, str(folder / "docker" / "fresh_env.py")]
    return subprocess.run(script, check=True, capture_output=True, text=True, env=given).stdout


def put_wheels(folder: Path) -> None:
    """Put wheels for the images into a copy, as docker/wheels/README.md says: a build may have no way to an index."""
    for wheel in _wheels().glob("*.whl"):
        shutil.copy(wheel, folder / "docker" / "wheels")


def _wheels() -> Path:
    """The wheels that the lock names, fetched once a machine by this machine's pip, however that is configured."""
    place = CACHE / f"wheels-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="wheels-draft-") as draft:
                _fetch(Path(draft) / "wheels")
                (Path(draft) / "wheels").rename(place)
    return place


def _fetch(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary", ":all:"]
    command += ["--python-version", "3.11", "--requirement", str(LOCK), "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.fail(f"The wheels for the services' images can't be had:\n{done.stderr[-3000:]}", pytrace=False)
