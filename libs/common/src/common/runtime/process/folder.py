"""The folder of one workload: its files, and how each is written so that a crash at any line leaves it whole.

| file | who writes it | what it says |
| --- | --- | --- |
| `spec.json` | platform, once (the first launch wins) | what was settled: command, environment, port, user, limits |
| `launch` | platform | the same for the supervisor, as NUL-separated words |
| `lock` | supervisor holds it | a supervisor is alive; two can't be |
| `started` | supervisor, before the child | never start it again |
| `running` | supervisor, after the child's exec | pid and start time of the child |
| `stop` | platform | a request to end, with its grace in seconds |
| `exit.json` | supervisor, or the platform where none is left | how it ended |
| `log`, `supervisor.log` | child; supervisor | what they said |

Room for the small records (`*.tmp`) is taken when the folder is made, so a full disk can't lose an ending.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.kernel.errors import Invalid

ROOM = 4096
RECORDS = ("started", "running", "stop", "exit.json")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}\Z")


def check_id(workload: str) -> str:
    """The id itself. Raises Invalid (`bad_workload`) where it is no safe folder name."""
    if not _ID.match(workload):
        raise Invalid("bad_workload", f"{workload!r} is no workload id: lower-case letters, digits, '.', '_' and '-'.")
    return workload


class Folder:
    """One workload's folder beneath `workloads/`."""

    def __init__(self, workloads: Path, workload: str) -> None:
        self.workload = check_id(workload)
        self.path = workloads / workload

    def file(self, name: str) -> Path:
        """Where that file is."""
        return self.path / name

    def has(self, name: str) -> bool:
        """Whether that record is written. Raises OSError where it can't be seen."""
        try:
            self.file(name).lstat()
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str) -> dict[str, Any] | None:
        """A record, or None where it isn't written yet. Raises OSError or ValueError where it can't be read."""
        try:
            content = json.loads(self.file(name).read_bytes())
        except FileNotFoundError:
            return None
        if not isinstance(content, dict):
            raise ValueError(f"{self.file(name)} holds no record")
        return content

    def settle(self, content: dict[str, Any]) -> dict[str, Any]:
        """Write `spec.json` unless it is there; what is there holds."""
        draft = self.file(f"spec.{os.getpid()}.tmp")
        _write(draft, json.dumps(content, indent=1).encode())
        try:
            os.link(draft, self.file("spec.json"))
        except FileExistsError:
            return self.read("spec.json") or content
        finally:
            draft.unlink()
        return content

    def prepare(self, launch: bytes) -> None:
        """Write the launch file whole, the empty log, and take room for the records to come."""
        draft = self.file(f"launch.{os.getpid()}.tmp")
        _write(draft, launch)
        draft.rename(self.file("launch"))
        _write(self.file("log"), b"", os.O_APPEND)
        for name in RECORDS:
            if not self.has(name) and not self.has(f"{name}.tmp"):
                _write(self.file(f"{name}.tmp"), b" " * ROOM)

    def record(self, name: str, content: dict[str, Any] | float) -> None:
        """Write a record into its room and give it its name, durably."""
        fd = os.open(self.file(f"{name}.tmp"), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(fd, json.dumps(content).encode().ljust(ROOM), 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        self.file(f"{name}.tmp").rename(self.file(name))

    def amend(self, name: str, content: dict[str, Any] | float) -> None:
        """Write a record anew in the very place of the old one, for which a full disk still has room."""
        fd = os.open(self.file(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(fd, json.dumps(content).encode().ljust(ROOM), 0)
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the supervisor's lock; False where a supervisor is alive and holds it."""
        with locked(self.file("lock"), fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            yield alone


@contextlib.contextmanager
def locked(path: Path, how: int) -> Iterator[bool]:
    """Have the lock of a file (`how` is flock(2)'s operation); False where it can't be had now. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


def _write(path: Path, content: bytes, flags: int = os.O_TRUNC) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    try:
        while content:
            content = content[os.write(fd, content) :]
    finally:
        os.close(fd)
