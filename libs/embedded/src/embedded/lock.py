"""One platform a state folder: a lock that dies with its holder, and a note of where it listens."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from common.kernel.errors import Conflict

LOOK_SECONDS = 1.0
"""Longer than anybody looks whether a platform lives (`is_locked`)."""


@dataclass(frozen=True)
class Running:
    """Where the platform of a state folder runs."""

    pid: int
    address: str


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Own the state folder. Raises Conflict (`home_in_use`) where another platform does."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _taken(descriptor):
        os.close(descriptor)
        raise Conflict(
            "home_in_use", f"A platform runs on {home} already. Stop it (make down) or set YARD_HOME to another folder."
        )
    try:
        yield
    finally:
        (home / "running.json").unlink(missing_ok=True)
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Take the lock. Whoever only looks has it for a moment too, which is waited for."""
    until = time.monotonic() + LOOK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        else:
            return True


def say_running(home: Path, address: str) -> None:
    """Note where this process listens."""
    temporary = home / "running.json.new"
    temporary.write_text(json.dumps(asdict(Running(os.getpid(), address))))
    temporary.replace(home / "running.json")


def is_locked(home: Path) -> bool:
    """Whether a platform lives on that state folder now."""
    try:
        descriptor = os.open(home / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: others may look at the same moment
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def who_runs(home: Path) -> Running | None:
    """The platform that serves that state folder now; None where none does, or it does not listen yet."""
    if not is_locked(home):
        return None
    try:
        return Running(**json.loads((home / "running.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
