"""The one file of an upload whose parts are written to their places, so that completing it copies nothing.

A part is written by one writer at a time, who locks its place; whoever comes second, or again, writes a file apart.
When the upload is completed the file gets another name, under which nobody finds a place in it any more.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import suppress
from pathlib import Path

from common.disk import telling_when_full
from common.files.blocks import Block, Blocks
from common.files.draft import check_sum, is_locked
from common.kernel.errors import Invalid

_WHOLE, _CLOSED, _PLACE = "whole", "object", ".place-"
_DIRECT = getattr(os, "O_DIRECT", 0)
_PAGE = 4096
"""Where and how long direct writes must be, in bytes, on every disk of today."""


class Place:
    """Where a part is written: as a Draft, but in the file of the whole. Blocking; used in threads.

    It is written past the page cache where the file system lets one (0019 says why). The blocks are kept as long as
    there is room, for whoever hashes the whole.
    """

    def __init__(self, folder: Path, number: int, part_bytes: int, what: str, locked: int, blocks: Blocks) -> None:
        self.size = 0
        self._kept: list[Block] | None = []
        self._what, self._room, self._locked = what, part_bytes, locked
        self._at = (number - 1) * part_bytes
        self._hash = hashlib.sha256()
        self._lock_file = _lock_file(folder, number)
        self._descriptor = _open(folder / _WHOLE, direct=part_bytes % _PAGE == 0)
        self._blocks, self._block = blocks, blocks.take()

    def write(self, *chunks: bytes) -> None:
        """Append to the part. Raises StorageFull (`storage_full`), Invalid (`wrong_part_size`) where it has no room."""
        self.size += sum(map(len, chunks))
        if self.size > self._room:
            raise Invalid("wrong_part_size", f"{self._what} has more than the {self._room} bytes that were announced.")
        for chunk in chunks:
            left = memoryview(chunk)
            while left:
                left = self._block.fill(left)
                if self._block.is_full:
                    self._write_out()

    def _write_out(self) -> None:
        """The block goes to the disk; it is kept, or used again."""
        filled = self._block.filled
        self._hash.update(filled)
        with telling_when_full(self._what):
            self._at += _write(self._descriptor, filled, self._at)
        if self._kept is not None and self._blocks.keep():
            self._kept.append(self._block)
            self._block = self._blocks.take()
        else:
            self._let_go()
            self._block.used = 0

    def seal(self, *, sync: bool, sha256: str | None = None) -> str:
        """See Draft."""
        if self._block.used:
            self._write_out()
        found = self._hash.hexdigest()
        check_sum(self._what, found, sha256)
        if sync:
            with telling_when_full(self._what):
                os.fdatasync(self._descriptor)
        return found

    def hand_over(self) -> list[Block] | None:
        """The blocks of the whole part, in order, which are the caller's from now on; None where not all are kept."""
        kept, self._kept = self._kept, None
        return kept

    def close_place(self) -> None:
        """The part is noted: whoever takes its place from now on sees that, so nobody needs the lock's file."""
        self._lock_file.unlink(missing_ok=True)

    def _let_go(self) -> None:
        self._blocks.give_back(self.hand_over() or ())

    def discard(self) -> None:
        """Leave the place; what was written is of no use unless it has been noted."""
        self._let_go()
        self._blocks.give_back([self._block], kept=False)
        os.close(self._descriptor)
        os.close(self._locked)


def _open(path: Path, *, direct: bool) -> int:
    """A file to write to, past the page cache where that can be. Raises FileNotFoundError."""
    flags = os.O_WRONLY | os.O_CLOEXEC
    if direct and _DIRECT:
        try:
            return os.open(path, flags | _DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return os.open(path, flags)


def _write(descriptor: int, data: memoryview, at: int) -> int:
    """Write all of it; gives how many bytes. What is no whole number of pages, or is refused, goes by the cache."""
    if len(data) % _PAGE:
        _by_the_cache(descriptor)
    done = 0
    while done < len(data):
        try:
            done += os.pwrite(descriptor, data[done:], at + done)
        except OSError as error:
            if error.errno != errno.EINVAL or not _by_the_cache(descriptor):
                raise
    return done


def _by_the_cache(descriptor: int) -> bool:
    """Write by the page cache from now on; False where that was so before."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    if not flags & _DIRECT:
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~_DIRECT)
    return True


def prepare(folder: Path) -> None:
    """An upload's file, empty."""
    os.close(os.open(folder / _WHOLE, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o640))


def take(folder: Path, number: int, part_bytes: int, what: str, blocks: Blocks) -> Place | None:
    """The place of a part, if nobody has it and the file is not closed."""
    try:
        locked = os.open(_lock_file(folder, number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Place(folder, number, part_bytes, what, locked, blocks)
    except (BlockingIOError, FileNotFoundError):
        os.close(locked)
        return None


def _lock_file(folder: Path, number: int) -> Path:
    return folder / f"{_PLACE}{number:05d}"


def path_of(folder: Path) -> Path:
    """The file, whether it is closed or not."""
    closed = folder / _CLOSED
    return closed if closed.exists() else folder / _WHOLE


def close(folder: Path) -> bool:
    """Let nobody find a place any more; gives whether nobody has one now. A writer who locked its place before this
    looked is seen; one who comes later finds no file."""
    with suppress(FileNotFoundError):  # closed before, by whoever was killed then or found the sum wrong
        (folder / _WHOLE).rename(folder / _CLOSED)
    return not any(is_locked(path) for path in folder.glob(f"{_PLACE}*"))


def discard(place: Place | None) -> None:
    """Give a place back, where one was taken."""
    if place is not None:
        place.discard()
