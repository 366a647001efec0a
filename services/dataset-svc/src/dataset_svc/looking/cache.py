"""A folder of files that can be made again: whole or absent, the least recently used go where it grows too large."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from common.kernel.ids import new_id

_NEW = ".new"
_STALE = 3600.0
"""Seconds after which a draft that nobody finished is thrown away."""
_LEFT = 0.8
"""Part of the limit that is left once something had to go."""

Make = Callable[[Path], Awaitable[None]]
"""Writes the file at that path."""


class NodeCache:
    """Files by key (a plain file name), `limit` bytes of them. Several processes may share the folder."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._bytes: int | None = None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self, key: str, make: Make) -> BinaryIO:
        """The file, made first where it is not there; who asks for one that is being made waits for it.

        Raises what `make` raises, and OSError where the folder can't be written.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            found = await asyncio.to_thread(self._opened, key)
            return found if found is not None else await self._made(key, make)

    async def _made(self, key: str, make: Make) -> BinaryIO:
        await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
        draft = self._folder / f"{new_id('tmp')}{_NEW}"
        try:
            await make(draft)
            return await asyncio.to_thread(self._kept, draft, key)
        finally:
            draft.unlink(missing_ok=True)

    def _opened(self, key: str) -> BinaryIO | None:
        path = self._folder / key
        with suppress(FileNotFoundError):
            file = path.open("rb")
            os.utime(file.fileno())
            return file
        return None

    def _kept(self, draft: Path, key: str) -> BinaryIO:
        """Open the draft, give it its name, and make room."""
        file = draft.open("rb")
        draft.replace(self._folder / key)
        if self._bytes is None:
            self._bytes = sum(size for _, size, _ in self._all())
        else:
            self._bytes += os.fstat(file.fileno()).st_size
        if self._bytes > self._limit:
            self._make_room(key)
        return file

    def _make_room(self, newest: str) -> None:
        """Remove the oldest until a part of the limit is free again, but not what was made just now."""
        files = sorted(self._all())
        left = sum(size for _, size, _ in files)
        for used, size, path in files:
            abandoned = path.suffix == _NEW and time.time() - used > _STALE
            if abandoned or (left > self._limit * _LEFT and path.suffix != _NEW and path.name != newest):
                path.unlink(missing_ok=True)
                left -= size
        self._bytes = left

    def _all(self) -> list[tuple[float, int, Path]]:
        """When each file was used last, its bytes, and where it is."""
        found = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                known = path.stat()
                found.append((known.st_mtime, known.st_size, path))
        return found
