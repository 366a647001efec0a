"""One pack being written. A buffered file of Python's can't forget bytes that no longer fit on the disk; this can."""

from __future__ import annotations

import os
from pathlib import Path

_BUFFER = 1 << 20


class PackFile:
    """A file that grows at its end and can be cut back. `size` counts every byte given to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        self._flushed = 0
        self._pending: list[bytes] = []
        self._room = _BUFFER

    def write(self, data: bytes) -> None:
        """Append `data`. Raises OSError where the disk takes no more."""
        self._pending.append(data)
        self.size += len(data)
        self._room -= len(data)
        if self._room <= 0:
            self.flush()

    def flush(self) -> None:
        """Hand what is buffered to the file system."""
        view = memoryview(b"".join(self._pending))
        done = 0
        while done < len(view):
            done += os.pwrite(self._descriptor, view[done:], self._flushed + done)
        self._flushed += done
        self._pending, self._room = [], _BUFFER

    def read(self, start: int, length: int) -> bytes:
        """Bytes that were flushed."""
        return os.pread(self._descriptor, length, start)

    def cut(self, size: int) -> None:
        """Forget everything after the first `size` bytes."""
        self._pending = [b"".join(self._pending)[: max(0, size - self._flushed)]]
        self._flushed = min(size, self._flushed)
        os.ftruncate(self._descriptor, self._flushed)
        self.size = size

    def close(self) -> None:
        """Close without flushing."""
        os.close(self._descriptor)
