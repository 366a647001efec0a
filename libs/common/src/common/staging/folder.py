"""Writing the files of a staged folder: read-only, beneath one directory descriptor, each checked as it is written."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.disk import telling_when_full
from common.kernel.errors import Problem
from common.manifests import Entry, check_path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
FILE_MODE = 0o444
FOLDER_MODE = 0o555
_WRITABLE = 0o700


class FolderWriter:
    """Fills a folder, a new one as a rule. Blocking; used in threads, several at a time for different files."""

    def __init__(self, root: Path, *, new: bool = True) -> None:
        if new:
            root.mkdir(parents=True)
        self.root = root
        self._descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write_all(self, entries: Sequence[Entry], start: int, data: bytes) -> None:
        """Write the files whose bytes are in `data`, which begins at `start` of their object.

        Raises Problem (`staging_failed`) for bytes that are not the file's, StorageFull (`storage_full`).
        """
        view = memoryview(data)
        for entry in entries:
            piece = view[entry.offset - start : entry.offset - start + entry.size]
            check_content(entry, len(piece), hashlib.sha256(piece).hexdigest())
            with telling_when_full(entry.path):
                descriptor = self.create(entry.path)
                try:
                    write_whole(descriptor, piece)
                finally:
                    os.close(descriptor)

    def create(self, path: str) -> int:
        """A descriptor of a new file, made with the folders above it. Raises Invalid (`bad_path`)."""
        check_path(path)
        try:
            descriptor = os.open(path, _NEW, FILE_MODE, dir_fd=self._descriptor)
        except FileNotFoundError:
            self.make_folders(path)
            descriptor = os.open(path, _NEW, FILE_MODE, dir_fd=self._descriptor)
        os.fchmod(descriptor, FILE_MODE)
        return descriptor

    def make_folders(self, path: str) -> None:
        """Make the folders above `path`."""
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            try:
                os.mkdir("/".join(parts[:depth]), 0o755, dir_fd=self._descriptor)
            except FileExistsError:
                continue

    def link(self, source: int, path: str, to: str) -> None:
        """Give a file of another staged folder (its descriptor) a second name here, or copy it where that can't
        be (another disk, too many links, a kernel that protects links). Raises StorageFull (`storage_full`)."""
        with telling_when_full(to):
            try:
                self._link(source, path, to)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                self._copy(source, path, to)

    def _link(self, source: int, path: str, to: str) -> None:
        try:
            os.link(path, to, src_dir_fd=source, dst_dir_fd=self._descriptor, follow_symlinks=False)
        except FileNotFoundError:
            self.make_folders(to)
            os.link(path, to, src_dir_fd=source, dst_dir_fd=self._descriptor, follow_symlinks=False)

    def _copy(self, source: int, path: str, to: str) -> None:
        old = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        with os.fdopen(old, "rb") as reader, os.fdopen(self.create(to), "wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)

    def settle(self) -> None:
        """Make every folder but the topmost read-only; that one has to be renamed yet."""
        for folder in folders_below(self.root):
            folder.chmod(FOLDER_MODE)

    def close(self) -> None:
        """Let the folder go."""
        os.close(self._descriptor)


def write_whole(descriptor: int, data: memoryview | bytes) -> None:
    """Write all of it."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def check_content(entry: Entry, size: int, sha256: str) -> None:
    """Raise Problem (`staging_failed`) where what was read isn't the file of the list."""
    if size != entry.size or sha256 != entry.sha256:
        raise Problem(
            "staging_failed",
            f"The stored bytes of {entry.path!r} are not what was stored (SHA-256 {sha256} instead of "
            f"{entry.sha256}). The file store is damaged; import the files again.",
        )


def remove_folder(folder: Path) -> None:
    """Remove a staged or half-staged folder, read-only as it is; an absent one is no error."""
    if not folder.exists():
        return
    folder.chmod(_WRITABLE)
    for below in folders_below(folder):
        below.chmod(_WRITABLE)
    shutil.rmtree(folder)


def folders_below(root: Path) -> Iterator[Path]:
    """Every folder below one, those above first; links are not followed."""
    for above, names, _ in os.walk(root):
        for name in names:
            if not (path := Path(above, name)).is_symlink():
                yield path
