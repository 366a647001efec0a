"""Searching an index without reading it all. What to read next is said by a generator, so one search is written once
and runs over a file of this machine (many in one thread) or an object of a store (many at once)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from common.manifests.index import Entry
from common.ports.files import Files

_STEP, _PROBE = 1 << 12, 1 << 15
"""Bytes read at one step of a search, and where that holds no whole line: more than two of the longest ones."""

Span = tuple[int, int]
"""Bytes of an index from a position up to another one (exclusive)."""
T = TypeVar("T")
Search = Generator[Span, bytes, T]
"""Asks for spans and is sent their bytes."""


def around(path: str, low: int, high: int) -> Search[Span]:
    """A short span of the index (which goes from `low` to `high`) that the entry of that path begins in, if there is
    one; the first later entry begins in it or right behind it."""
    while high - low > 2 * _STEP:
        start, line = yield from _line_after((low + high) // 2)
        if start >= high:
            break  # one long line is all that is behind the middle
        if Entry.parse(line).path <= path:
            low = start
        else:
            high = start
    return low, high


def _line_after(position: int) -> Search[tuple[int, bytes]]:
    """The first line that begins after a position, and where it begins; nothing at the end of the index."""
    for length in (_STEP, _PROBE):
        block = yield position, position + length
        begin = block.find(b"\n") + 1
        end = block.find(b"\n", begin)
        if begin and end >= 0:
            return position + begin, block[begin:end]
    return position + begin, b""


def entry(path: str, low: int, high: int) -> Search[Entry | None]:
    """The entry of a path."""
    low, high = yield from around(path, low, high)
    block = yield low, high
    for line in block.splitlines():
        found = Entry.parse(line)
        if found.path == path:
            return found
    return None


def place(path: str, low: int, high: int) -> Search[int]:
    """Where the first entry begins whose path is not before this one; the end of the index where there is none."""
    low, high = yield from around(path, low, high)
    block = yield low, high
    for line in block.splitlines(keepends=True):
        if Entry.parse(line).path >= path:
            return low
        low += len(line)
    return low


async def run(files: Files, address: str, searches: Sequence[Search[T]]) -> list[T]:
    """The results of searches of one object. Raises NotFound (`file_not_found`) and what the searches raise."""
    if (here := files.local_path(address)) is not None:
        await files.stat(address)
        return await asyncio.to_thread(_run_here, here, searches)
    return list(await asyncio.gather(*(_run_there(files, address, search) for search in searches)))


async def read_spans(files: Files, address: str, spans: Iterable[Span]) -> list[bytes]:
    """The bytes of many spans of one object. Raises NotFound (`file_not_found`)."""
    return await run(files, address, [_one(span) for span in spans])


def _one(span: Span) -> Search[bytes]:
    return (yield span)


def _run_here(path: Path, searches: Sequence[Search[T]]) -> list[T]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return [_here(descriptor, search) for search in searches]
    finally:
        os.close(descriptor)


def _here(descriptor: int, search: Search[T]) -> T:
    try:
        start, end = next(search)
        while True:
            start, end = search.send(os.pread(descriptor, end - start, start))
    except StopIteration as stop:
        found: T = stop.value
        return found


async def _run_there(files: Files, address: str, search: Search[T]) -> T:
    try:
        start, end = next(search)
        while True:
            start, end = search.send(await files.read(address, start, end))
    except StopIteration as stop:
        found: T = stop.value
        return found
