"""Reading sets of files: the whole list, one file of millions, and the bytes of a file."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from common.contracts.shared import ManifestRef
from common.kernel.errors import NotFound
from common.manifests import searching
from common.manifests.index import ContentDigest, Entry, Header, corrupt
from common.ports.files import Files

BATCH = 8192
"""Entries of one batch: some MiB, and so many that what is read by them is read in few and large pieces."""

_FIRST = 1 << 16


async def header(files: Files, ref: ManifestRef) -> Header:
    """The first line of the index. Raises NotFound (`file_not_found`), Problem (`manifest_corrupt`)."""
    return await header_at(files, ref.address)


async def header_at(files: Files, address: str) -> Header:
    """The first line of the index at an address. Raises as `header`."""
    return (await _head(files, address))[0]


async def _head(files: Files, address: str) -> tuple[Header, int]:
    """The header and how many bytes its line takes."""
    line = b""
    while b"\n" not in line:
        chunk = await files.read(address, len(line), len(line) + max(_FIRST, len(line)))
        if not chunk:
            raise corrupt("its first line does not end")
        line += chunk
    line = line[: line.index(b"\n") + 1]
    return Header.parse(line), len(line)


async def batches(files: Files, ref: ManifestRef, *, size: int = BATCH) -> AsyncIterator[list[Entry]]:
    """The entries in the order of paths, `size` at a time, which is the fast way through a long list.

    At the end everything read is held against the digest of `ref`: Problem (`manifest_corrupt`) if it differs.
    """
    waiting: list[Entry] = []
    async for entries in _as_they_come(files, ref):
        waiting += entries
        while len(waiting) >= size:
            yield waiting[:size]
            del waiting[:size]
    if waiting:
        yield waiting


async def _as_they_come(files: Files, ref: ManifestRef) -> AsyncIterator[list[Entry]]:
    """The entries of each chunk of the index, however large the store makes its chunks; checked as by `batches`."""
    digest = ContentDigest()
    rest, first = b"", True
    async for chunk in files.get(ref.address):
        *lines, rest = (rest + chunk).split(b"\n")
        if first and lines:
            Header.parse(lines.pop(0))
            first = False
        entries = [Entry.parse(line) for line in lines]
        digest.add(entries)
        yield entries
    if rest or first or digest.value() != ref.digest:
        raise corrupt(f"{ref.address} does not hold the files of {ref.digest}")


async def read(files: Files, ref: ManifestRef) -> AsyncIterator[Entry]:
    """The entries one by one in the order of paths; checked as by `batches`."""
    async for entries in batches(files, ref):
        for entry in entries:
            yield entry


async def find(files: Files, ref: ManifestRef, path: str) -> Entry:
    """The entry of one path, by binary search over the index. Raises NotFound (`file_not_found`)."""
    [entry] = await find_many(files, ref, [path])
    if entry is None:
        raise NotFound("file_not_found", f"There is no file {path!r} in {ref.address}.")
    return entry


async def find_many(files: Files, ref: ManifestRef, paths: Sequence[str]) -> list[Entry | None]:
    """The entries of these paths; None for each that is not there."""
    low, high = await _extent(files, ref)
    return await searching.run(files, ref.address, [searching.entry(path, low, high) for path in paths])


async def places(files: Files, ref: ManifestRef, paths: Sequence[str]) -> list[int]:
    """Where in the index, in bytes, the first entry begins that is not before each of these paths."""
    low, high = await _extent(files, ref)
    return await searching.run(files, ref.address, [searching.place(path, low, high) for path in paths])


async def entries_at(files: Files, ref: ManifestRef, spans: Sequence[searching.Span]) -> list[Entry]:
    """The entries that take these bytes of the index, one or several lines each."""
    blocks = await searching.read_spans(files, ref.address, spans)
    return [Entry.parse(line) for block in blocks for line in block.splitlines()]


async def entries_from(files: Files, ref: ManifestRef, path: str) -> AsyncIterator[Entry]:
    """The entries in the order of paths from `path` on (itself included), found by binary search: a page of a list
    of millions. What is before it is not read, so the whole is not held against the digest."""
    [low] = await places(files, ref, [path])
    rest = b""
    async for chunk in files.get(ref.address, low):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield Entry.parse(line)


async def _extent(files: Files, ref: ManifestRef) -> searching.Span:
    """Where in the index its entries begin and end."""
    return (await _head(files, ref.address))[1], (await files.stat(ref.address)).size


async def local_index(files: Files, ref: ManifestRef, copy: Path) -> Path:
    """The index as a file of this machine: that of the store itself, or `copy`, which is written. Raises NotFound."""
    if (here := files.local_path(ref.address)) is not None:
        return here
    with copy.open("wb") as file:
        async for chunk in files.get(ref.address):
            await asyncio.to_thread(file.write, chunk)
    return copy


async def open_entry(
    files: Files, ref: ManifestRef, entry: Entry, start: int = 0, end: int | None = None
) -> AsyncIterator[bytes]:
    """The bytes of one file from `start` up to `end` (exclusive), in chunks."""
    head = await header(files, ref)
    stop = entry.size if end is None else min(end, entry.size)
    if start < stop:
        async for chunk in files.get(head.objects[entry.object], entry.offset + start, entry.offset + stop):
            yield chunk


async def delete(files: Files, ref: ManifestRef) -> None:
    """Remove the index and then the packs beside it. Done again after a kill it removes what was left."""
    await files.delete(ref.address)
    prefix = ref.address.rpartition("/")[0]
    pack = re.compile(re.escape(f"{prefix}/pack-") + r"\d+").fullmatch
    for key in [info.key async for info in files.list(f"{prefix}/pack-") if pack(info.key)]:
        await files.delete(key)
