"""A set that is cut into files of about the same size, so that several readers share it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


class Shards:
    """Files named by a pattern with their number; a record is never cut."""

    def __init__(self, folder: Path, pattern: str, most: int) -> None:
        self._folder, self._pattern, self._most = folder, pattern, most
        self._number = 0
        self._file: BinaryIO = self._next()

    def write(self, record: bytes) -> None:
        """Write one record, in a new shard where this one is full."""
        if self._file.tell() and self._file.tell() + len(record) > self._most:
            self._file.close()
            self._file = self._next()
        self._file.write(record)

    def _next(self) -> BinaryIO:
        name = self._pattern.format(self._number)
        self._number += 1
        return (self._folder / name).open("wb")

    def close(self) -> None:
        """Close the last."""
        self._file.close()
