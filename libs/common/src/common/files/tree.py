"""Objects as files below one folder. Every step down goes through a directory descriptor that follows no link, so
that nothing planted in the tree leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from common.kernel.errors import Conflict, NotFound
from common.ports.files import FileInfo

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ATTEMPTS = 1000


@dataclass(frozen=True, slots=True)
class Child:
    """Something in a folder of the tree: a file with its state, or a folder (`state` None)."""

    name: str
    state: os.stat_result | None


class Tree:
    """A folder of objects. `sync`: whether names are made to survive a power loss. Blocking; used in threads."""

    def __init__(self, root: Path, *, sync: bool) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self._sync = sync

    def publish(self, source: Path, key: str, *, if_absent: bool) -> None:
        """Give a complete file its key, taking it from `source`, in one step that no reader sees half of.

        Raises Conflict: `file_exists` (with `if_absent`), `key_conflict` where the key is the folder of others or
        below an object. A folder that a delete prunes under our hands is simply made again.
        """
        parents, name = _split(key)
        for _ in range(_ATTEMPTS):
            try:
                with self._folder(parents, create=True) as folder:
                    self._take(source, folder, name, if_absent=if_absent)
                return
            except FileExistsError:
                raise Conflict("file_exists", f"There is an object {key!r} already.", key=key) from None
            except FileNotFoundError:
                if not source.exists():
                    raise
            except OSError as error:
                if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.ELOOP):
                    reason = f"The key {key!r} is a folder of other objects, or lies below one; choose another."
                    raise Conflict("key_conflict", reason) from error
                raise
        raise Conflict("key_conflict", f"The folder of {key!r} was removed {_ATTEMPTS} times while storing; try again.")

    def _take(self, source: Path, folder: int, name: str, *, if_absent: bool) -> None:
        if if_absent:
            os.link(source, name, dst_dir_fd=folder, follow_symlinks=False)
            source.unlink()
        else:
            os.rename(source, name, dst_dir_fd=folder)
        if self._sync:
            os.fsync(folder)

    def open(self, key: str) -> int:
        """A descriptor for reading. Raises NotFound (`file_not_found`)."""
        parents, name = _split(key)
        with _absence_told(key), self._folder(parents) as folder:
            descriptor = os.open(name, _FILE, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise absent(key)
        return descriptor

    def stat(self, key: str) -> os.stat_result:
        """The state of an object's file. Raises NotFound (`file_not_found`)."""
        parents, name = _split(key)
        with _absence_told(key), self._folder(parents) as folder:
            state = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(state.st_mode):
            raise absent(key)
        return state

    def remove(self, key: str) -> None:
        """Remove an object, if it is there, and the folders that it leaves empty."""
        parents, name = _split(key)
        try:
            self.stat(key)
            with self._folder(parents) as folder:
                os.unlink(name, dir_fd=folder)
                if self._sync:
                    os.fsync(folder)
        except (NotFound, FileNotFoundError):
            return
        self._prune(parents)

    def _prune(self, parents: list[str]) -> None:
        """Remove empty folders upwards. One that got something in the meantime stays: rmdir refuses it."""
        while parents:
            *parents, name = parents
            try:
                with self._folder(parents) as folder:
                    os.rmdir(name, dir_fd=folder)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.EBUSY):
                    return
                raise

    def children(self, parents: list[str], start: str = "") -> list[Child]:
        """What is in a folder and begins with `start`, in the order that its keys have (a folder's name counts
        with its slash). An absent folder is an empty one; links and devices are left out."""
        found: list[tuple[str, Child]] = []
        try:
            with self._folder(parents) as folder, os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(start) and (child := _child(entry)) is not None:
                        found.append((child.name if child.state else f"{child.name}/", child))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
        return [child for _, child in sorted(found, key=lambda pair: pair[0])]

    @contextmanager
    def _folder(self, parents: list[str], *, create: bool = False) -> Iterator[int]:
        """A descriptor of a folder of the tree, reached without following links."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in parents:
                if create:
                    self._make(name, descriptor)
                below = os.open(name, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def _make(self, name: str, within: int) -> None:
        try:
            os.mkdir(name, 0o750, dir_fd=within)
        except FileExistsError:
            return
        if self._sync:
            os.fsync(within)


def absent(key: str) -> NotFound:
    """The problem that says that there is no such object."""
    return NotFound("file_not_found", f"There is no object {key!r} in the file store.", key=key)


@contextmanager
def _absence_told(key: str) -> Iterator[None]:
    """Turn every way in which a path can fail to be there into NotFound."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise absent(key) from None
        raise


def _split(key: str) -> tuple[list[str], str]:
    *parents, name = key.split("/")
    return parents, name


def _child(entry: os.DirEntry[str]) -> Child | None:
    """A file or folder; None for anything else, or what is gone by now."""
    if entry.is_dir(follow_symlinks=False):
        return Child(entry.name, None)
    try:
        state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Child(entry.name, state) if stat.S_ISREG(state.st_mode) else None


def info_of(key: str, state: os.stat_result, sha256: str | None = None) -> FileInfo:
    """What is told of an object of which this is the file."""
    return FileInfo(key, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC), sha256)
