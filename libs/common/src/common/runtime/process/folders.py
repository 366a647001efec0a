"""The folders of one runtime on disk: which workloads have one, and the making and removing of them beside others.

Several platforms may use the same folders, and each may be killed at any line: a workload's folder counts from the
moment it has its `spec.json`, and no longer once it has another name. What is neither is cleared away at a start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.runtime.process import ending
from common.runtime.process.folder import Folder, locked

_REMOVED = ".removed-"


class Folders:
    """What is kept beneath `home`: a folder for every workload in `workloads`, and the `volumes` that outlive them."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.workloads = self.home / "workloads"
        self.volumes = self.home / "volumes"
        self._settled: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {}

    def make(self) -> None:
        """Make the three that hold all others; every user may pass through them. Raises OSError."""
        for folder in (self.home, self.workloads, self.volumes):
            folder.mkdir(mode=0o711, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                folder.chmod(0o711)  # the umask cuts mkdir's mode, and root's workloads run as other users

    def of(self, workload: str) -> Folder:
        """That workload's folder, made or not. Raises Invalid (`bad_workload`) where the id is no folder name."""
        return Folder(self.workloads, workload)

    def known(self) -> list[str]:
        """The ids of all workloads that were settled, in order."""
        return sorted(path.parent.name for path in self.workloads.glob("[!.]*/spec.json"))

    def settled(self, folder: Folder) -> dict[str, Any] | None:
        """What was settled for a workload, None where nothing was: the same file is read once. Raises OSError or
        ValueError where it can't be read."""
        try:
            found = folder.file("spec.json").lstat()
        except FileNotFoundError:
            self._settled.pop(folder.workload, None)
            return None
        which = (found.st_ino, found.st_mtime_ns)
        known = self._settled.get(folder.workload)
        if known is None or known[0] != which:
            if (content := folder.read("spec.json")) is None:
                return None
            known = self._settled[folder.workload] = (which, content)
        return known[1]

    @contextlib.contextmanager
    def at_work(self, how: int = fcntl.LOCK_SH) -> Iterator[bool]:
        """Held by every platform on this home while it makes or removes the folder of a workload; False where it
        can't be had now (`how` is flock(2)'s operation). Raises OSError."""
        with locked(self.home / "at-work", how) as held:
            yield held

    def clear_away(self) -> None:
        """Delete the folders that were being made or removed when a platform was killed. Raises OSError.

        Where another platform makes or removes some now, that is left to a later start.
        """
        with self.at_work(fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            for path in self.workloads.iterdir() if alone else ():
                if not (path / "spec.json").exists() or path.name.startswith(_REMOVED):
                    _delete(path)

    def remove(self, folder: Folder) -> None:
        """Remove an ended workload's folder and control groups: its name first, so that a half-removed one is none.

        Raises OSError, and ValueError where its record can't be read.
        """
        with self.at_work():
            settled = self.settled(folder) or {"groups": []}
            for group in settled["groups"]:
                ending.drop_group(group)
            self._settled.pop(folder.workload, None)
            hidden = folder.path.with_name(f"{_REMOVED}{folder.workload}")
            if hidden.exists():
                _delete(hidden)
            folder.path.rename(hidden)
            _delete(hidden)


def undo(folder: Folder) -> None:
    """Leave nothing of a launch that failed before its supervisor started. Raises OSError."""
    if folder.path.exists() and not folder.has("started"):
        _delete(folder.path)


def _delete(path: Path) -> None:
    """Delete a folder, whatever permissions the workload left in it (links are not followed)."""
    try:
        shutil.rmtree(path)
    except PermissionError:
        for folder, names, _ in os.walk(path):
            for name in names:
                if not (inner := Path(folder, name)).is_symlink():
                    inner.chmod(0o700)
        shutil.rmtree(path)
