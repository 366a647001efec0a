"""Memory in blocks of whole pages: written from past the page cache, and kept until they are hashed once more."""

from __future__ import annotations

import mmap
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

BLOCK = 1 << 20
"""Bytes of a block: enough that a disk writes at its full rate."""


@dataclass
class Block:
    """A mebibyte that begins with a page; `used` bytes of it are filled."""

    room: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, BLOCK))
    used: int = 0

    @property
    def filled(self) -> memoryview:
        """What is in it."""
        return memoryview(self.room)[: self.used]

    @property
    def is_full(self) -> bool:
        """Whether nothing more fits in."""
        return self.used == BLOCK

    def fill(self, data: memoryview) -> memoryview:
        """Take in what fits; gives what is left over."""
        taken = data[: BLOCK - self.used]
        self.room[self.used : self.used + len(taken)] = taken
        self.used += len(taken)
        return data[len(taken) :]


class Blocks:
    """Blocks that are used again and again, since fresh memory costs more than to copy into it. At most `most` are kept
    filled at a time. For threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = 0
        self._spare: list[Block] = []
        self._lock = threading.Lock()

    def take(self) -> Block:
        """An empty one."""
        with self._lock:
            if not self._spare:
                return Block()
            found = self._spare.pop()
        found.used = 0
        return found

    def keep(self) -> bool:
        """Whether one more may be kept filled; then it is counted until it comes back."""
        with self._lock:
            if self._kept >= self._most:
                return False
            self._kept += 1
            return True

    def give_back(self, blocks: Iterable[Block], *, kept: bool = True) -> None:
        """Nobody looks into these any more; `kept`: they were counted."""
        with self._lock:
            for block in blocks:
                self._kept -= kept
                self._spare.append(block)

    def trim(self) -> None:
        """Give the system back the memory that nobody uses."""
        with self._lock:
            if not self._kept:
                self._spare.clear()
