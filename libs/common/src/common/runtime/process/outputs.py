"""Reading what a workload left behind without being led astray by it: regular files only, no link followed."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

from common.kernel.errors import NotFound
from common.ports.runtime import Output

CHUNK = 1 << 18
_STEP = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


def list_outputs(root: Path) -> list[Output]:
    """The regular files beneath `root`, by path; links, pipes and devices are left out, and none is followed."""
    found: list[Output] = []
    for folder, _, names, fd in os.fwalk(root, follow_symlinks=False):
        base = PurePosixPath(folder).relative_to(root)
        for name in names:
            try:
                info = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except FileNotFoundError:
                continue  # it is being written, and this name was a passing one
            if stat.S_ISREG(info.st_mode):
                found.append(Output(str(base / name), info.st_size))
    return sorted(found, key=lambda output: output.path)


def open_output(root: Path, path: str) -> int:
    """Open a file beneath `root`, one component at a time. Raises NotFound (`output_not_found`)."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise _absent(path)
    fd = os.open(root, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            fd, parent = os.open(part, _STEP | os.O_DIRECTORY, dir_fd=fd), fd
            os.close(parent)
        file = os.open(parts[-1], _STEP | os.O_NONBLOCK, dir_fd=fd)
    except OSError as error:
        raise _absent(path) from error
    finally:
        os.close(fd)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _absent(path)
    return file


async def chunks(fd: int, offset: int) -> AsyncIterator[bytes]:
    """The bytes of an open file from `offset` to its present end; closes it."""
    try:
        while data := await asyncio.to_thread(os.pread, fd, CHUNK, offset):
            offset += len(data)
            yield data
    finally:
        os.close(fd)


def _absent(path: str) -> NotFound:
    return NotFound("output_not_found", f"There is no output file {path!r}; list the outputs to see which there are.")
