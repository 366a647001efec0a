"""A user of its own for every owner's workloads, so that they can't read one another's files nor the platform's.

Only root can do that, and only where the folders and the interpreter can be reached by other users; both are
found out by trying. One behaviour is chosen for the whole runtime at start.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import subprocess
import time
from pathlib import Path

BASE_UID = 200_000
BELIEVED = 10.0
"""Seconds for which a way that was free is not looked at again; a launch that finds it closed meanwhile fails."""


class Owners:
    """The map from owner to uid, kept in `uids.json`: an owner keeps its uid for ever."""

    def __init__(self, home: Path, base: int = BASE_UID) -> None:
        self.file = home / "uids.json"
        self.base = base
        self._known: dict[str, int] = {}

    def uid(self, owner: str) -> int:
        """The owner's uid, given at first sight; two platforms on one folder give different owners different ones."""
        if owner not in self._known:
            self._known = self._remember(owner)
        return self._known[owner]

    def _remember(self, owner: str) -> dict[str, int]:
        lock = os.open(self.file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known: dict[str, int] = json.loads(self.file.read_bytes()) if self.file.exists() else {}
            if owner not in known:
                known[owner] = max(known.values(), default=self.base) + 1
                self._save(known)
        finally:
            os.close(lock)
        return known

    def _save(self, known: dict[str, int]) -> None:
        draft = self.file.with_suffix(".tmp")
        with draft.open("w") as file:
            json.dump(known, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o600)
        draft.rename(self.file)


def why_no_own_uid(home: Path, interpreter: Path) -> str:
    """Why workloads can't have users of their own here, in words for the operator; empty where they can."""
    if os.geteuid() != 0:
        return "The platform isn't root, so every workload runs as this user and can read what this user can."
    if blocked := unreachable(home):
        return f"Workloads run as root: other users can't enter {blocked}. Use a folder that everyone may pass."
    check = [str(interpreter), "-I", "-S", "-c", "import os, sys; os.chdir(sys.argv[1])", str(home)]
    try:
        done = subprocess.run(check, user=BASE_UID, group=BASE_UID, extra_groups=[], capture_output=True, check=False)
    except OSError as error:
        return f"Workloads run as root: other users can't run {interpreter} ({error.strerror})."
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return f"Workloads run as root: other users can't run {interpreter} ({' '.join(last)})."
    return ""


class Ways:
    """Which paths another user can reach, remembered for a while: every launch asks for the same engines and data."""

    def __init__(self) -> None:
        self._free: dict[str, float] = {}

    def blocked(self, path: Path) -> Path | None:
        """What `unreachable` says; that nothing is in the way is believed for `BELIEVED` seconds."""
        now, name = time.monotonic(), str(path)
        if self._free.get(name, 0.0) > now:
            return None
        if (folder := unreachable(path)) is None:
            self._free = {known: until for known, until in self._free.items() if until > now}
            self._free[name] = now + BELIEVED
        return folder


def unreachable(path: Path) -> Path | None:
    """The first folder on the way to `path`, links resolved, that another user can't pass, or None."""
    real = path.resolve()
    for folder in [*reversed(real.parents), real]:
        try:
            mode = folder.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not mode & (0o001 if stat.S_ISDIR(mode) else 0o004):
            return folder
    return None
