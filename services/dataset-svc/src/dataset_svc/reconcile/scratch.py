"""Folders of this machine's disk that one process works in for as long as it lives, whatever kills it."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path


class Scratch:
    """One such folder among those of other processes, below `root`.

    It is locked by whoever lives in it, not swept by lease: one that has lost a lease and not noticed yet goes on
    writing, and would store what is left after somebody else swept beneath it.
    """

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self.folder = root / name
        self._held: int | None = None

    def open(self) -> None:
        """Take it, and remove what is left of processes that live no more. Raises OSError."""
        while self._held is None:
            self._held = self._taken()
        for path in self._root.iterdir():
            if path != self.folder:
                _sweep(path)

    def _taken(self) -> int | None:
        """Its lock; None where another swept it between its making and that."""
        self.folder.mkdir(parents=True, exist_ok=True)
        held = os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
        if self.folder.exists() and os.fstat(held).st_ino == self.folder.stat().st_ino:
            return held
        os.close(held)
        return None

    def close(self) -> None:
        """Leave it, with all that is in it."""
        if self._held is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._held)
            self._held = None


def _sweep(path: Path) -> None:
    """Remove a folder in which nobody lives, and keep out whoever is about to until it is gone."""
    with suppress(OSError):
        held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(held)
