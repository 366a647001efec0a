"""Cutting a stream into the blocks that are sent at once, and hashing them beside the event loop."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from common.kernel.errors import Invalid
from common.ports.files import Chunks

BLOCK = 8 << 20
"""Bytes of a block; up to this size an object is put by one request."""

_GROWS = 500
_SMALL = 64 << 10
_READ = 1 << 20


def block_size(number: int) -> int:
    """Bytes of the block of that number (from 1): 8 MiB, growing so that 10,000 of them hold 800 GiB."""
    return BLOCK * (1 + (number - 1) // _GROWS)


async def blocks(content: bytes | Chunks) -> AsyncGenerator[bytes, None]:
    """The content in blocks; only the last may be shorter, and an empty content is one empty block."""
    if isinstance(content, bytes):
        content = _sliced(content) if len(content) > BLOCK else _once(content)
    number, waiting, size = 1, list[bytes](), 0
    async for chunk in content:
        waiting.append(chunk)
        size += len(chunk)
        while size >= (wanted := block_size(number)):
            whole = waiting[0] if len(waiting) == 1 else b"".join(waiting)
            yield whole if size == wanted else whole[:wanted]
            waiting = [whole[wanted:]] if size > wanted else []
            size -= wanted
            number += 1
    if size or number == 1:
        yield b"".join(waiting)


class Digests:
    """The SHA-256 of all blocks together, and what the server holds each against on its way: its CRC-32, which costs
    a third of a SHA-256 of its own."""

    def __init__(self) -> None:
        self._whole = hashlib.sha256()
        self.size = 0

    async def add(self, block: bytes) -> str:
        """Take the next block in; gives its own CRC-32 as S3 writes it (Base64 of four bytes, the highest first)."""
        self.size += len(block)
        return self._add(block) if len(block) <= _SMALL else await asyncio.to_thread(self._add, block)

    def _add(self, block: bytes) -> str:
        self._whole.update(block)
        return base64.b64encode(zlib.crc32(block).to_bytes(4, "big")).decode()

    def value(self) -> str:
        """The SHA-256 of everything so far, in hex."""
        return self._whole.hexdigest()


async def file_chunks(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a local file, read in a thread. Raises Invalid (`not_a_file`) for anything but a regular file."""
    descriptor = open_file(path)
    try:
        while chunk := await asyncio.to_thread(os.read, descriptor, _READ):
            yield chunk
    finally:
        os.close(descriptor)


def file_digest(path: Path) -> str:
    """The SHA-256 of a local file, in hex. Blocking."""
    with os.fdopen(open_file(path), "rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_file(path: Path) -> int:
    """A descriptor of a regular file. Raises Invalid (`not_a_file`)."""
    if path.is_symlink() or not path.is_file():
        raise Invalid("not_a_file", f"{path} is not a regular file, so it can't be stored.")
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _sliced(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), BLOCK):
        yield content[start : start + BLOCK]
