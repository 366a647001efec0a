"""The one file of an upload whose parts are written to their places, so that completing it copies nothing.

A part is written by one writer at a time, who locks its place; whoever comes second, or again, writes a file apart.
When the upload is completed the file gets another name, under which nobody finds a place in it any more.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from common.disk import telling_when_full
from common.files.draft import check_sum
from common.kernel.errors import Invalid

_WHOLE, _CLOSED, _PLACE = "whole", "object", ".place-"
_READ = 1 << 20
_REMEMBERED = 64
"""Uploads of which it is remembered how far they are hashed; the others are hashed from their beginning."""


class Place:
    """Where a part is written: as a Draft, but in the file of the whole. Blocking; used in threads."""

    def __init__(self, folder: Path, number: int, part_bytes: int, what: str, locked: int) -> None:
        self.size = 0
        self._what, self._room, self._locked = what, part_bytes, locked
        self._at = (number - 1) * part_bytes
        self._hash = hashlib.sha256()
        self._descriptor = os.open(folder / _WHOLE, os.O_WRONLY | os.O_CLOEXEC)

    def write(self, data: bytes) -> None:
        """Append to the part. Raises StorageFull (`storage_full`), Invalid (`wrong_part_size`) where it has no room."""
        if self.size + len(data) > self._room:
            raise Invalid("wrong_part_size", f"{self._what} has more than the {self._room} bytes that were announced.")
        self._hash.update(data)
        view = memoryview(data)
        with telling_when_full(self._what):
            while view:
                done = os.pwrite(self._descriptor, view, self._at + self.size)
                view, self.size = view[done:], self.size + done

    def seal(self, *, sync: bool, sha256: str | None = None) -> str:
        """See Draft."""
        found = self._hash.hexdigest()
        check_sum(self._what, found, sha256)
        if sync:
            with telling_when_full(self._what):
                os.fdatasync(self._descriptor)
        return found

    def discard(self) -> None:
        """Leave the place; what was written is of no use unless it has been noted."""
        os.close(self._descriptor)
        os.close(self._locked)


def prepare(folder: Path) -> None:
    """An upload's file, empty."""
    os.close(os.open(folder / _WHOLE, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o640))


def take(folder: Path, number: int, part_bytes: int, what: str) -> Place | None:
    """The place of a part, if nobody has it and the file is not closed."""
    try:
        locked = os.open(folder / f"{_PLACE}{number:05d}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Place(folder, number, part_bytes, what, locked)
    except (BlockingIOError, FileNotFoundError):
        os.close(locked)
        return None


def path_of(folder: Path) -> Path:
    """The file, whether it is closed or not."""
    closed = folder / _CLOSED
    return closed if closed.exists() else folder / _WHOLE


def close(folder: Path) -> bool:
    """Let nobody find a place any more; gives whether nobody has one now. A writer who locked its place before this
    looked is seen; one who comes later finds no file."""
    with suppress(FileNotFoundError):  # closed before, by whoever was killed then or found the sum wrong
        (folder / _WHOLE).rename(folder / _CLOSED)
    return not any(_is_locked(path) for path in folder.glob(f"{_PLACE}*"))


def _is_locked(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Hashing:
    """The SHA-256 of wholes, computed behind the parts as they come, in other threads than those that take them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[str, _Sum] = {}

    def advance(self, upload: str, file: Path, parts: Sequence[tuple[str, int]]) -> None:
        """Take in what is new of the file's first parts, given as (SHA-256, size), unless another thread is at it.
        Raises FileNotFoundError where the file is gone."""
        found = self._sum(upload)
        if found.lock.acquire(blocking=False):
            try:
                if len(parts) > found.taken:
                    found.advance(file, parts)
            finally:
                found.lock.release()

    def sum(self, upload: str, file: Path, parts: Sequence[tuple[str, int]]) -> str:
        """The sum over these parts. Where one was replaced it is begun anew. Raises as `advance`."""
        found = self._sum(upload)
        with found.lock:
            return found.advance(file, parts)

    def _sum(self, upload: str) -> _Sum:
        with self._lock:
            found = self._of.pop(upload, None) or _Sum()
            self._of[upload] = found
            while len(self._of) > _REMEMBERED:
                del self._of[next(iter(self._of))]
            return found

    def forget(self, upload: str) -> None:
        """The upload is over."""
        with self._lock:
            self._of.pop(upload, None)


class _Sum:
    """How far one whole is hashed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._hash, self._taken, self._at = hashlib.sha256(), list[tuple[str, int]](), 0

    @property
    def taken(self) -> int:
        """How many parts are hashed."""
        return len(self._taken)

    def advance(self, file: Path, parts: Sequence[tuple[str, int]]) -> str:
        """See Hashing."""
        if self._taken != list(parts[: len(self._taken)]):
            self._begin()
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for part in parts[len(self._taken) :]:
                end = self._at + part[1]
                while self._at < end:
                    piece = os.pread(descriptor, min(_READ, end - self._at), self._at)
                    if not piece:
                        raise FileNotFoundError(file)
                    self._hash.update(piece)
                    self._at += len(piece)
                self._taken.append(part)
        finally:
            os.close(descriptor)
        return self._hash.hexdigest()
