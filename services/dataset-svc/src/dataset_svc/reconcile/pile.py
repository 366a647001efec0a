"""Things that are too many for memory, put on disk one after the other and taken by their number."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class Pile(Generic[T]):
    """Eight bytes of each are in memory. Blocking, and a context manager: at its end they are gone."""

    def __init__(self, file: Path, dump: Callable[[T], bytes], load: Callable[[bytes], T]) -> None:
        """`file` is made anew; the folders above it too. Raises OSError, here and in `add`, where the disk is full."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._file = file, file.open("w+b", buffering=1 << 20)
        self._dump, self._load = dump, load
        self._ends = array("Q", (0,))

    def add(self, one: T) -> None:
        """Put it on top."""
        data = self._dump(one)
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))

    def extend(self, several: Iterable[T]) -> None:
        """Put them on top, one after the other."""
        for one in several:
            self.add(one)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, number: int) -> T:
        """That one, from 0."""
        self._file.flush()
        start, end = self._ends[number], self._ends[number + 1]
        return self._load(os.pread(self._file.fileno(), end - start, start))

    def __iter__(self) -> Iterator[T]:
        return map(self.__getitem__, range(len(self)))

    def __enter__(self) -> Pile[T]:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        finally:
            self._path.unlink()
