"""The manners of a local disk, in one place: what must be synced before it counts, and how a full disk is told.

Packs, the `file:` store and the staging cache all write files; each of them promises "whole or not at all".
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.kernel.errors import StorageFull

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def telling_when_full(what: str) -> Iterator[None]:
    """Turn "no space left" (also over quota, over the largest file) into StorageFull (`storage_full`)."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise storage_full(what, error.strerror or "no space left") from error
        raise


def storage_full(what: str, reason: str) -> StorageFull:
    """The problem that says that there was no room for `what`."""
    return StorageFull("storage_full", f"There is no room for {what}: {reason}. Free some space and try again.")


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power loss (fsync(2) of the directory)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written to the file system of that folder."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize
