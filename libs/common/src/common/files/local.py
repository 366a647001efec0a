"""The `file:` adapter: objects as files in one folder, each whole or not there.

Below the root: `objects/` holds the objects under their keys, `drafts/` what is being written, `uploads/` the parts
of uploads that are not complete. A reader that has begun keeps what it reads when the object is replaced or deleted.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

from common.disk import telling_when_full
from common.files.blocks import Blocks
from common.files.draft import Draft, check_sum, sweep
from common.files.filling import STEP, fill
from common.files.hashing import KEPT_SECONDS, Hashing
from common.files.keys import check_key, check_prefix, check_range
from common.files.tree import Child, Tree, info_of
from common.files.uploads import StoredPart, Uploads, check_number
from common.files.whole import Place, discard
from common.kernel.errors import Invalid
from common.ports.files import Chunks, FileInfo, FilesCapabilities, Part
from common.threads import taken, to_the_end

_P = ParamSpec("_P")
_T = TypeVar("_T")

BLOCKS_KEPT = 128
"""Mebibytes of uploads that are kept in memory until the whole is hashed as far as there."""
_OTHER_PROCESS_SECONDS = 0.02
"""How often it is asked whether another process has completed an upload."""


class LocalFiles:
    """Objects below a folder of this machine.

    `sync` False leaves it to the kernel when data reaches the disk: faster, and a power loss (not a kill) may lose
    what was just stored. `threads` bounds how many disk operations go on at once.
    """

    capabilities = FilesCapabilities(local_paths=True, presign=False)

    def __init__(self, root: Path, *, sync: bool = True, threads: int = 8) -> None:
        self._root = root.absolute()
        self._sync = sync
        self._drafts = self._root / "drafts"
        self._drafts.mkdir(parents=True, exist_ok=True)
        self._tree = Tree(self._root / "objects", sync=sync)
        blocks = Blocks(BLOCKS_KEPT)
        self._uploads = Uploads(self._root / "uploads", self._drafts, blocks, sync=sync)
        self._hashing = Hashing(blocks, self._uploads.in_order)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="files")
        self._completing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        sweep(self._drafts)

    async def put(
        self, key: str, content: bytes | Chunks, *, sha256: str | None = None, if_absent: bool = False
    ) -> FileInfo:
        """Store an object; see the port. Also raises Conflict (`key_conflict`) where a key is another's folder."""
        check_key(key)
        if isinstance(content, bytes):
            return await self._run(self._put_bytes, key, content, sha256, if_absent)
        draft = Draft(self._drafts, key)
        try:
            found = await self._filled(draft, content, sha256)
            return await self._run(self._publish, draft.path, key, if_absent, found)
        finally:
            await self._run(draft.discard)

    def _put_bytes(self, key: str, content: bytes, sha256: str | None, if_absent: bool) -> FileInfo:
        draft = Draft(self._drafts, key)
        try:
            draft.write(content)
            found = draft.seal(sync=self._sync, sha256=sha256)
            return self._publish(draft.path, key, if_absent, found)
        finally:
            draft.discard()

    async def _filled(self, draft: Draft | Place, content: Chunks, sha256: str | None) -> str:
        """The SHA-256 of a draft once the content is in it."""
        await fill(draft, content, self._run)
        return await self._run(draft.seal, sync=self._sync, sha256=sha256)

    async def put_file(self, key: str, path: Path, *, move: bool = False) -> FileInfo:
        """Store a local file; see the port. Raises Invalid (`not_a_file`) for a link, a folder or a device."""
        check_key(key)
        if path.is_symlink() or not path.is_file():
            raise Invalid("not_a_file", f"{path} is not a regular file, so it can't be stored.")
        if move and path.stat().st_dev == self._root.stat().st_dev:
            return await self._run(self._take, path, key)
        info = await self._copy_in(key, path)
        if move:
            path.unlink()
        return info

    def _take(self, path: Path, key: str) -> FileInfo:
        """Rename a file into the store."""
        if self._sync:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return self._publish(path, key, False, None)

    async def _copy_in(self, key: str, path: Path) -> FileInfo:
        source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            draft = Draft(self._drafts, key)
            try:
                await self._copy(draft, source, hashed=False)
                await self._run(draft.seal, sync=self._sync)
                return await self._run(self._publish, draft.path, key, False, None)
            finally:
                await self._run(draft.discard)
        finally:
            os.close(source)

    async def _copy(self, draft: Draft, source: int, start: int = 0, size: int | None = None, *, hashed: bool) -> None:
        """Append an open file, or `size` bytes of it from `start` on, to a draft, in steps between which one can be
        cancelled."""
        while size != 0 and (done := await self._run(draft.copy, source, start, most=size, hashed=hashed)):
            start += done
            size = size if size is None else size - done

    def _publish(self, path: Path, key: str, if_absent: bool, sha256: str | None) -> FileInfo:
        state = path.stat()
        with telling_when_full(key):
            self._tree.publish(path, key, if_absent=if_absent)
        return info_of(key, state, sha256)

    async def get(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`, in chunks of a mebibyte."""
        check_range(key, start, end)
        descriptor = self._tree.open(key)
        try:
            while end is None or start < end:
                length = STEP if end is None else min(STEP, end - start)
                chunk = await self._run(os.pread, descriptor, length, start)
                if not chunk:
                    return
                yield chunk
                start += len(chunk)
        finally:
            os.close(descriptor)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The same bytes at once."""
        check_range(key, start, end)
        return await self._run(self._read, key, start, end)

    def _read(self, key: str, start: int, end: int | None) -> bytes:
        with os.fdopen(self._tree.open(key), "rb", buffering=0) as file:
            file.seek(start)
            return file.read(-1 if end is None else max(0, end - start)) or b""

    async def stat(self, key: str) -> FileInfo:
        """What is known of an object; its SHA-256 is not kept here."""
        check_key(key)
        return info_of(key, await self._run(self._tree.stat, key))

    async def list(self, prefix: str = "") -> AsyncIterator[FileInfo]:
        """Every object whose key starts with `prefix`, in the order of keys, one folder in memory at a time."""
        check_prefix(prefix)
        *parents, start = prefix.split("/")
        pending: list[tuple[list[str], Child]] = []
        children = await self._run(self._tree.children, parents, start)
        pending.extend((parents, child) for child in reversed(children))
        while pending:
            above, child = pending.pop()
            path = [*above, child.name]
            if child.state is not None:
                yield info_of("/".join(path), child.state)
                continue
            children = await self._run(self._tree.children, path)
            pending.extend((path, child) for child in reversed(children))

    async def delete(self, key: str) -> None:
        """Remove an object, and folders that it leaves empty."""
        check_key(key)
        await self._run(self._tree.remove, key)

    async def begin_upload(self, key: str, *, part_bytes: int | None = None) -> str:
        """Begin an upload in parts; its id is good until it is completed or aborted, also after a restart."""
        check_key(key)
        return await self._run(self._uploads.begin, key, part_bytes)

    async def put_part(self, upload: str, number: int, content: bytes | Chunks, *, sha256: str | None = None) -> Part:
        """Store one part; see the port. Raises Invalid (`bad_part_number`)."""
        check_number(number)
        key = await self._run(self._uploads.key, upload)
        place = await taken(self._threads, partial(self._uploads.place, upload, number), discard)
        draft = place or Draft(self._drafts, f"part {number} of {key}")
        try:
            found = await self._filled(draft, _chunks(content) if isinstance(content, bytes) else content, sha256)
            await self._run(self._uploads.keep, upload, number, draft, found)
            if place is not None:
                self._hash_behind(upload, number, found, place)
            return Part(number, draft.size, found)
        finally:
            await self._run(draft.discard)

    def _hash_behind(self, upload: str, number: int, sha256: str, place: Place) -> None:
        """Hash the whole as far as it is there, in another thread; what is not asked for by then is let go later."""
        self._hashing.keep(upload, number, sha256, place.hand_over())
        self._threads.submit(self._hashing.ahead, upload)
        loop = asyncio.get_running_loop()
        loop.call_later(KEPT_SECONDS, loop.run_in_executor, None, self._hashing.let_go_old)

    async def parts(self, upload: str) -> Sequence[Part]:
        """The parts that arrived, by number. Raises NotFound (`upload_not_found`)."""
        return [stored.part for stored in await self._run(self._uploads.parts, upload)]

    async def complete_upload(self, upload: str, *, sha256: str | None = None) -> FileInfo:
        """Make the object from its parts. Raises Conflict (`upload_incomplete`), Invalid (`checksum_mismatch`; the
        parts stay). Needs room for the object once more until it is done, except where there is one part."""
        async with self._completing.setdefault(upload, asyncio.Lock()):
            while (held := await taken(self._threads, partial(self._uploads.lock, upload), _close)) is None:
                await asyncio.sleep(_OTHER_PROCESS_SECONDS)
            try:
                return await self._complete(upload, sha256)
            except FileNotFoundError:
                await self._run(self._uploads.key, upload)  # it was aborted under our hands, where this doesn't know it
                raise
            finally:
                os.close(held)

    async def _complete(self, upload: str, sha256: str | None) -> FileInfo:
        key = await self._run(self._uploads.key, upload)
        outcome = await self._run(self._uploads.outcome, upload)
        if outcome is not None:
            return info_of(key, await self._run(self._tree.stat, key), outcome["sha256"])
        parts = await self._run(self._uploads.all_parts, upload)
        if (whole := await self._run(self._uploads.whole, upload)) is not None:
            info = await self._adopt(key, whole, await self._run(self._hashing.sum, upload), sha256)
        elif len(parts) == 1 and not parts[0].in_place:
            info = await self._adopt(key, parts[0].path, parts[0].part.sha256, sha256)
        else:
            info = await self._join(key, upload, parts, sha256)
        await self._run(self._uploads.finish, upload, info.sha256)
        await self._run(self._hashing.forget, upload)
        return info

    async def _adopt(self, key: str, file: Path, found: str, sha256: str | None) -> FileInfo:
        """A file becomes the object: a second name for it, until the upload is known to be done."""
        check_sum(key, found, sha256)
        name = file.parent / f".object-{os.urandom(8).hex()}"
        await self._run(os.link, file, name)
        return await self._run(self._publish, name, key, False, found)

    async def _join(self, key: str, upload: str, parts: Sequence[StoredPart], sha256: str | None) -> FileInfo:
        draft = Draft(self._drafts, key)
        try:
            for stored in parts:
                path, start = await self._run(self._uploads.source, upload, stored)
                source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    await self._copy(draft, source, start, stored.part.size, hashed=sha256 is not None)
                finally:
                    os.close(source)
            await self._run(draft.seal, sync=self._sync, sha256=sha256)
            return await self._run(self._publish, draft.path, key, False, sha256)
        finally:
            await self._run(draft.discard)

    async def abort_upload(self, upload: str) -> None:
        """Throw the parts away; an unknown upload is no error."""
        await self._run(self._uploads.abort, upload)
        await self._run(self._hashing.forget, upload)

    def local_path(self, key: str) -> Path | None:
        """The object's file, to be read only. Raises NotFound (`file_not_found`)."""
        check_key(key)
        self._tree.stat(key)
        return self._tree.root / key

    async def close(self) -> None:
        """Wait for what the threads are at and end them."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await to_the_end(self._threads, function, *args, **kwargs)


def _close(held: int | None) -> None:
    if held is not None:
        os.close(held)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content
