"""Putting sets of files into the file store: objects first, the index last, so that a list never lies."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import tempfile
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path

from common.contracts.shared import ManifestRef
from common.kernel.errors import Conflict, Fault, Invalid, NotFound
from common.manifests.index import ContentDigest, Entry, Header
from common.manifests.pack import Packed, pack_name
from common.manifests.paths import check_path
from common.manifests.read import header_at
from common.manifests.spool import Spool
from common.ports.files import Files

Source = tuple[str, int, Callable[[], AsyncIterator[bytes]]]
"""A file to be stored: its path, its size in bytes as far as known, and how to open it."""

_CHUNK = 1 << 20
PACK_BYTES = 256 << 20


async def store(
    files: Files, packed: Packed, prefix: str, *, before: tuple[str, ...] = (), move: bool = True
) -> ManifestRef:
    """Put packs under `prefix` and the index last. `before`: keys of objects that come first in the index (`Shared`).

    May be repeated after a kill, also with packs that were moved into the store already. With `move` the packs
    are taken out of their folder. Raises Conflict (`manifest_exists`) where other content is stored there,
    StorageFull (`storage_full`), NotFound (`packed_not_found`) where a pack is neither here nor there.
    """
    address = f"{prefix}/index"
    if (ref := await _stored(files, address)) is not None:
        return _the_same(ref, packed.digest)
    keys = tuple(f"{prefix}/{pack_name(number)}" for number in range(len(packed.objects)))
    for key, path, size in zip(keys, packed.objects, packed.sizes, strict=True):
        if path.exists():
            await files.put_file(key, path, move=move)
        elif not await _is_there(files, key, size):
            raise NotFound("packed_not_found", f"{path} is gone and not stored as {key}; pack the files again.")
    return await _put_index(files, address, packed.header((*before, *keys)), packed.body)


async def store_stream(
    files: Files, prefix: str, sources: Iterable[Source], *, pack_bytes: int = PACK_BYTES
) -> ManifestRef:
    """Store files that are streamed from elsewhere, without a copy on this machine's disk.

    A prefix is stored once: where a list is there already, it is given back and nothing is read. Raises Invalid
    (`bad_path`, `duplicate_path`), StorageFull (`storage_full`), and whatever opening a source raises.
    """
    address = f"{prefix}/index"
    if (ref := await _stored(files, address)) is not None:
        return ref
    with tempfile.TemporaryDirectory(prefix="manifest-") as scratch:
        spool, keys = Spool(Path(scratch)), []
        for number, group in enumerate(_groups(sources, pack_bytes)):
            keys.append(f"{prefix}/{pack_name(number)}")
            await files.put(keys[-1], _concatenate(group, number, spool))
        body = Path(scratch) / "body"
        digest: ContentDigest = await asyncio.to_thread(spool.write, body)
        head = Header(tuple(keys), digest.files, digest.bytes, digest.value())
        return await _put_index(files, address, head, body)


async def store_folder(files: Files, folder: Path, prefix: str) -> ManifestRef:
    """Store every regular file below `folder`; empty folders are not kept, names are normalised to NFC.

    Raises Invalid (`not_a_file`, all at once) for links and devices, and as `store_stream`.
    """
    sources = await asyncio.to_thread(_walk, folder)
    return await store_stream(files, prefix, sources)


async def store_bytes(files: Files, content: Mapping[str, bytes], prefix: str) -> ManifestRef:
    """Store files whose content is at hand: `{path: bytes}`. Raises as `store_stream`."""
    return await store_stream(files, prefix, [(path, len(data), _opener(data)) for path, data in content.items()])


async def store_entries(
    files: Files, prefix: str, objects: tuple[str, ...], entries: AsyncIterator[Entry]
) -> ManifestRef:
    """A list of files over objects that are stored already (by the keys `objects`), so that no byte is copied.

    Whoever owns the objects must keep them as long as the list is there. A prefix is stored once, as by `store_stream`.
    """
    address = f"{prefix}/index"
    if (ref := await _stored(files, address)) is not None:
        return ref
    with tempfile.TemporaryDirectory(prefix="manifest-") as scratch:
        spool = Spool(Path(scratch))
        async for entry in entries:
            spool.add(entry)
        body = Path(scratch) / "body"
        digest: ContentDigest = await asyncio.to_thread(spool.write, body)
        return await _put_index(files, address, Header(objects, digest.files, digest.bytes, digest.value()), body)


def _opener(data: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    return chunks


async def _stored(files: Files, address: str) -> ManifestRef | None:
    """The list at that address, or None."""
    try:
        head = await header_at(files, address)
    except NotFound:
        return None
    return ManifestRef(address=address, digest=head.digest, files=head.files, bytes=head.bytes)


async def _is_there(files: Files, key: str, size: int) -> bool:
    try:
        return (await files.stat(key)).size == size
    except NotFound:
        return False


def _the_same(ref: ManifestRef, digest: str) -> ManifestRef:
    """`ref`, if it is what was to be stored."""
    if ref.digest != digest:
        raise Conflict("manifest_exists", f"{ref.address} holds other files already; store them under another prefix.")
    return ref


async def _put_index(files: Files, address: str, head: Header, body: Path) -> ManifestRef:
    """Write the index. Where another process was faster, its list must be the same."""
    try:
        await files.put(address, _index_chunks(head, body), if_absent=True)
    except Conflict:
        ref = await _stored(files, address)
        if ref is None:
            raise
        return _the_same(ref, head.digest)
    return ManifestRef(address=address, digest=head.digest, files=head.files, bytes=head.bytes)


async def _index_chunks(head: Header, body: Path) -> AsyncIterator[bytes]:
    yield head.line()
    async for chunk in _file_chunks(body):
        yield chunk


async def _file_chunks(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a local file that is not a link, read in a thread."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while chunk := await asyncio.to_thread(os.read, descriptor, _CHUNK):
            yield chunk
    finally:
        os.close(descriptor)


def _groups(sources: Iterable[Source], pack_bytes: int) -> Iterator[list[Source]]:
    """The sources in packs of at most `pack_bytes`, by the sizes told; a larger one is alone."""
    group: list[Source] = []
    size = 0
    for source in sources:
        check_path(source[0])
        if group and size + source[1] > pack_bytes:
            yield group
            group, size = [], 0
        group.append(source)
        size += source[1]
    if group:
        yield group


async def _concatenate(group: list[Source], number: int, spool: Spool) -> AsyncIterator[bytes]:
    """The bytes of one pack; on the way its entries go into the spool. Sizes are those that really came."""
    offset = 0
    for path, _, open_source in group:
        digest, size = hashlib.sha256(), 0
        async for chunk in open_source():
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        spool.add(Entry(path, size, digest.hexdigest(), number, offset))
        offset += size


def _walk(folder: Path) -> list[Source]:
    """The regular files below a folder, in the order of paths."""
    sources: list[Source] = []
    faults: list[Fault] = []
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        name = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        if stat.S_ISREG(state.st_mode):
            sources.append((name, state.st_size, _reader(path)))
        elif not stat.S_ISDIR(state.st_mode):
            faults.append(Fault(name, "it is a link or a device; put the file itself there"))
    if faults:
        raise Invalid("not_a_file", f"{len(faults)} of the things in the folder are not files.", faults=faults)
    return sources


def _reader(path: Path) -> Callable[[], AsyncIterator[bytes]]:
    return lambda: _file_chunks(path)
