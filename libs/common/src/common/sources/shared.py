"""A folder of a shared file system that is mounted on this machine: never left, whatever links are in it."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path, PurePosixPath

from common.kernel.errors import Invalid
from common.sources.port import Found

_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SharedSource:
    """The regular files below `prefix` of a root. Each step is taken from the folder before it, none over a link."""

    def __init__(self, root: Path, prefix: str) -> None:
        """Raises Invalid (`source_refused`) for a prefix that leads out of the root."""
        self._root, self._parts = root, parts_of(prefix)

    async def files(self) -> AsyncIterator[Found]:
        """Every regular file, folder by folder."""
        for found in await asyncio.to_thread(lambda: list(self._walk())):
            yield found

    def _walk(self) -> Iterator[Found]:
        top = enter(self._root, self._parts)
        try:
            for folder, _, names, fd in os.fwalk(".", dir_fd=top, follow_symlinks=False):
                for name in sorted(names):
                    state = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if stat.S_ISREG(state.st_mode):
                        yield Found((PurePosixPath(folder) / name).as_posix(), state.st_size)
        finally:
            os.close(top)

    async def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of one file."""
        *folders, name = PurePosixPath(path).parts
        folder = await asyncio.to_thread(enter, self._root, [*self._parts, *folders])
        try:
            fd = os.open(name, _FILE, dir_fd=folder)
        except OSError as error:
            raise Invalid("source_refused", f"{path} can't be read: {error.strerror}.") from error
        finally:
            os.close(folder)
        try:
            while chunk := await asyncio.to_thread(os.read, fd, _CHUNK):
                yield chunk
        finally:
            os.close(fd)

    async def close(self) -> None:
        """Nothing is held."""


def parts_of(path: str) -> list[str]:
    """The folders of a sub-path. Raises Invalid (`source_refused`) where it leads out of the root."""
    parts = [part for part in PurePosixPath(path).parts if part != "/"]
    if ".." in parts or "\0" in path:
        raise Invalid("source_refused", f"The sub-path {path!r} leads out of the shared file system.")
    return parts


def enter(root: Path, parts: Sequence[str]) -> int:
    """A descriptor of a folder below the root, over no link. Blocking. Raises Invalid (`source_refused`)."""
    try:
        fd = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise Invalid("source_refused", f"The shared file system can't be entered: {error.strerror}.") from error
    for part in parts:
        try:
            below = os.open(part, _FOLDER, dir_fd=fd)
        except OSError as error:
            reason = "it is a link" if error.errno in (errno.ELOOP, errno.ENOTDIR) else error.strerror
            raise Invalid("source_refused", f"There is no folder {'/'.join(parts)}: {reason}.") from error
        finally:
            os.close(fd)
        fd = below
    return fd
