"""The SHA-256 of wholes, computed behind the parts as they come, in other threads than those that take them."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.files.blocks import Block, Blocks
from common.kernel.errors import NotFound

_READ = 256 << 10
_REMEMBERED = 64
"""Uploads of which it is remembered how far they are hashed; the others are hashed from their beginning."""
KEPT_SECONDS = 30.0
"""How long the bytes of a part wait in memory for the parts before it."""

Ordered = Sequence[tuple[str, int]]
"""(SHA-256, size) of parts, one after the other."""


@dataclass
class _Kept:
    """The bytes of a part, in memory since then."""

    sha256: str
    blocks: Sequence[Block]
    since: float = field(default_factory=time.monotonic)


class Hashing:
    """How far the whole of each upload is hashed. `in_order` gives the file of an upload and its parts after a number,
    as far as they are there one after the other, or raises NotFound. For threads."""

    def __init__(self, blocks: Blocks, in_order: Callable[[str, int], tuple[Path, Ordered]]) -> None:
        self._blocks, self._in_order = blocks, in_order
        self._lock = threading.Lock()
        self._of: dict[str, _Sum] = {}

    def keep(self, upload: str, number: int, sha256: str, blocks: Sequence[Block] | None) -> None:
        """Have the bytes of a part that is there, so that nobody reads it from the disk; None where they are gone."""
        if blocks is not None:
            self._sum(upload).keep(number, _Kept(sha256, blocks))

    def let_go_old(self) -> None:
        """Free the memory of parts that nobody has asked for in KEPT_SECONDS. To be called that long after each."""
        with self._lock:
            sums = list(self._of.values())
        for one in sums:
            one.let_go(before=time.monotonic() - KEPT_SECONDS)
        self._blocks.trim()

    def ahead(self, upload: str) -> None:
        """Hash what is there of the whole, while more comes, unless another thread is at it."""
        found = self._sum(upload)
        if not found.lock.acquire(blocking=False):
            return
        try:
            file, parts = self._in_order(upload, found.taken)
            if parts:
                found.advance(file, parts)
        except (NotFound, FileNotFoundError):  # it was completed or given up meanwhile
            self.forget(upload)
        finally:
            found.lock.release()

    def sum(self, upload: str) -> str:
        """The sum over the parts that are there, in order. Where one was replaced it is begun anew. Raises NotFound
        (`upload_not_found`)."""
        found = self._sum(upload)
        with found.lock:
            file, parts = self._in_order(upload, 0)
            return found.advance(file, found.new_of(parts))

    def _sum(self, upload: str) -> _Sum:
        with self._lock:
            found = self._of.pop(upload, None) or _Sum(self._blocks)
            self._of[upload] = found
            oldest = [self._of.pop(next(iter(self._of))) for _ in range(len(self._of) - _REMEMBERED)]
        for one in oldest:
            one.let_go()
        return found

    def forget(self, upload: str) -> None:
        """The upload is over."""
        with self._lock:
            found = self._of.pop(upload, None)
        if found is not None:
            found.let_go()
        self._blocks.trim()


class _Sum:
    """How far one whole is hashed."""

    def __init__(self, blocks: Blocks) -> None:
        self.lock = threading.Lock()
        self._blocks = blocks
        self._kept: dict[int, _Kept] = {}
        self._begin()

    def _begin(self) -> None:
        self._whole, self._taken, self._at = hashlib.sha256(), list[tuple[str, int]](), 0

    @property
    def taken(self) -> int:
        """How many parts are hashed."""
        return len(self._taken)

    def keep(self, number: int, kept: _Kept) -> None:
        """See Hashing. Of a part that was hashed before, from the disk, nobody will ask."""
        self._release(self._kept.pop(number, None))
        if number > self.taken:
            self._kept[number] = kept
        else:
            self._release(kept)

    def let_go(self, before: float = float("inf")) -> None:
        """Free the memory of the parts that wait since then."""
        for number, kept in list(self._kept.items()):
            if kept.since < before:
                self._release(self._kept.pop(number, None))

    def _release(self, kept: _Kept | None) -> None:
        if kept is not None:
            self._blocks.give_back(kept.blocks)

    def new_of(self, parts: Ordered) -> Ordered:
        """Those that are not hashed yet, of all; where an earlier one is another now all are new."""
        if self._taken != list(parts[: len(self._taken)]):
            self._begin()
        return parts[len(self._taken) :]

    def advance(self, file: Path, parts: Ordered) -> str:
        """Hash the next parts; gives the sum up to there. Raises FileNotFoundError where the file is gone."""
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for part in parts:
                self._take(part, descriptor)
        finally:
            os.close(descriptor)
        return self._whole.hexdigest()

    def _take(self, part: tuple[str, int], descriptor: int) -> None:
        """Hash the next part, all of it or, where reading it fails, nothing."""
        longer = self._whole.copy()
        kept = self._kept.pop(len(self._taken) + 1, None)
        try:
            if kept is not None and kept.sha256 == part[0]:
                for block in kept.blocks:
                    longer.update(block.filled)
            else:
                for piece in _read(descriptor, self._at, part[1]):
                    longer.update(piece)
        finally:
            self._release(kept)
        self._whole, self._at = longer, self._at + part[1]
        self._taken.append(part)


def _read(descriptor: int, at: int, size: int) -> Iterator[memoryview]:
    """So many bytes of a file, each piece in the memory of the one before. Raises FileNotFoundError where it is cut."""
    room, end = memoryview(bytearray(min(_READ, size))), at + size
    while at < end:
        read = os.preadv(descriptor, [room[: end - at]], at)
        if not read:
            raise FileNotFoundError(f"The file of an upload ends at byte {at}.")
        yield room[:read]
        at += read
