"""A file being written, under a name that no reader looks at, until it is whole."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path
from types import TracebackType

from common.disk import telling_when_full
from common.kernel.errors import Invalid
from common.kernel.ids import new_id

_COPY = 64 << 20
_CANNOT = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_FRESH = 60.0
"""Seconds for which a draft is left alone though nobody locks it: its writer may be about to."""


class Draft:
    """A temporary file in `folder`, locked for as long as its writer lives. Blocking; used in threads."""

    def __init__(self, folder: Path, what: str) -> None:
        self.path = folder / new_id("draft")
        self.size = 0
        self._what = what
        self._hash = hashlib.sha256()
        with telling_when_full(what):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, *chunks: bytes) -> None:
        """Append. Raises StorageFull (`storage_full`)."""
        for data in chunks:
            self._hash.update(data)
            self._append(data)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        with telling_when_full(self._what):
            while view:
                view = view[os.write(self._descriptor, view) :]
        self.size += len(data)

    def copy(self, source: int, start: int, *, most: int | None = None, hashed: bool) -> int:
        """Append up to 64 MiB (or `most`) of another file from `start` on; gives how many bytes. Without `hashed` the
        kernel copies (and a file system that can, shares the blocks), and `sha256` is not to be relied on."""
        most = _COPY if most is None else min(most, _COPY)
        with telling_when_full(self._what):
            if not hashed and (done := _kernel_copy(source, start, self._descriptor, most)) is not None:
                self.size += done
                return done
        done = 0
        while done < most and (chunk := os.pread(source, min(1 << 20, most - done), start + done)):
            self.write(chunk)
            done += len(chunk)
        return done

    def seal(self, *, sync: bool, sha256: str | None = None) -> str:
        """End writing: check the content, sync it, and give its SHA-256 in hex.

        Raises Invalid (`checksum_mismatch`).
        """
        found = self._hash.hexdigest()
        check_sum(self._what, found, sha256)
        if sync:
            with telling_when_full(self._what):
                os.fsync(self._descriptor)
        return found

    def discard(self) -> None:
        """Give the file up, unless it has been published under its own name by now."""
        self.path.unlink(missing_ok=True)
        os.close(self._descriptor)


def check_sum(what: str, found: str, wanted: str | None) -> None:
    """Raise Invalid (`checksum_mismatch`) where a SHA-256 was asked for and is another."""
    if wanted is not None and found != wanted.lower():
        told = f"{what} arrived with SHA-256 {found} instead of {wanted}; send it again."
        raise Invalid("checksum_mismatch", told, found=found)


def sweep(folder: Path, older_than: float = _FRESH) -> None:
    """Remove the drafts of writers that were killed. One that is locked belongs to somebody alive."""
    for path in folder.iterdir():
        try:
            if time.time() - path.lstat().st_mtime < older_than:
                continue
            if path.is_dir():
                remove(path)
            elif not is_locked(path):
                path.unlink()
        except FileNotFoundError:
            continue


def remove(folder: Path) -> None:
    """Remove a folder with all that is in it, also where another does so at the same time."""
    shutil.rmtree(folder, onerror=_unless_gone)


def _unless_gone(_: object, path: str, failure: tuple[type[BaseException], BaseException, TracebackType]) -> None:
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


def is_locked(path: Path) -> bool:
    """Whether its writer lives; a file that is gone has none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _kernel_copy(source: int, start: int, target: int, most: int) -> int | None:
    """copy_file_range(2); None where the file system can't."""
    try:
        return os.copy_file_range(source, target, most, offset_src=start)
    except OSError as error:
        if error.errno in _CANNOT:
            return None
        raise
