"""Uploads in parts, kept in folders: `<id>/meta.json`, `<id>/parts-…/`, and at the end `done.json` in their place.

A part's name holds its number, a generation and its SHA-256, so that one rename makes it whole and known at once. Where
it is known beforehand how long parts are, they are written to their places in one file (`whole`); such a part's name
also has its size, and the file of that name is empty.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from common.disk import sync_folder, telling_when_full
from common.files import shelves, whole
from common.files.blocks import Blocks
from common.files.draft import Draft, remove, sweep
from common.files.shelves import SHELF
from common.files.whole import Place
from common.kernel.errors import Conflict, Invalid, NotFound
from common.kernel.ids import is_id, new_id
from common.ports.files import Part

MOST_PARTS = 10_000
"""What S3 takes too."""

_KEPT = 7 * 24 * 3600.0
"""Seconds for which a completed upload is remembered, so that completing it again finds its end."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part and the file that notes it. Its bytes are there too, or `in_place` in the file of the whole."""

    part: Part
    path: Path
    generation: int
    in_place: bool = False


class Uploads:
    """The uploads below `folder`; `scratch` is on the same disk. Parts are written from `blocks`. Blocking; used in
    threads."""

    def __init__(self, folder: Path, scratch: Path, blocks: Blocks, *, sync: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._scratch = scratch
        self._blocks = blocks
        self._sync = sync

    def begin(self, key: str, part_bytes: int | None = None) -> str:
        """A new upload for `key`, of parts of that many bytes where that is known; gives its id."""
        self._forget_old()
        sweep(self._scratch)  # the start left alone what was young then, of whoever was killed a moment before
        upload = new_id("upload")
        draft = self._scratch / upload
        with telling_when_full(f"an upload of {key}"):
            draft.mkdir(0o750)
            self._write(draft, "meta.json", {"key": key, "part_bytes": part_bytes})
            if part_bytes is not None:
                whole.prepare(draft)
            draft.rename(self._folder / upload)
            self._settle(self._folder)
        return upload

    def key(self, upload: str) -> str:
        """For which key it is. Raises NotFound (`upload_not_found`)."""
        return str(self._read(upload, "meta.json")["key"])

    def lock(self, upload: str) -> int | None:
        """Have it alone among processes until what this gives is closed; None where another has it. Raises NotFound
        (`upload_not_found`)."""
        self.key(upload)
        try:
            held = os.open(self._folder / upload / "meta.json", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise _unknown(upload) from None
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            return None
        return held

    def outcome(self, upload: str) -> dict[str, Any] | None:
        """What `finish` noted, or None while the upload goes on."""
        try:
            return self._read(upload, "done.json")
        except NotFound:
            return None

    def place(self, upload: str, number: int) -> Place | None:
        """Where a part can be written to its place; None where it comes again or its size is not known. Raises
        NotFound (`upload_not_found`)."""
        part_bytes = self._read(upload, "meta.json").get("part_bytes")
        if part_bytes is None or self._stored(upload, number, number):
            return None
        what = f"part {number} of {upload}"
        found = whole.take(self._folder / upload, number, int(part_bytes), what, self._blocks)
        if found is not None and self._stored(upload, number, number):  # another was faster between the two looks
            found.discard()
            return None
        return found

    def keep(self, upload: str, number: int, draft: Draft | Place, sha256: str) -> None:
        """Take a complete part in, in place of an earlier one. Raises NotFound (`upload_not_found`)."""
        if self.outcome(upload) is not None:
            raise _unknown(upload)
        earlier = self._stored(upload, number, number)
        generation = max((stored.generation for stored in earlier), default=0) + 1
        shelf = shelves.shelf_of(self._folder / upload, number)
        name = shelf / f"{number:05d}.{generation:06d}.{sha256}"
        try:
            with telling_when_full(f"part {number} of {upload}"):
                self._make(shelf)
                if isinstance(draft, Place):
                    name.with_name(f"{name.name}.{draft.size}").touch(0o640, exist_ok=False)
                    draft.close_place()
                else:
                    draft.path.rename(name)
            self._settle(shelf)
        except FileNotFoundError:
            raise _unknown(upload) from None
        for stored in earlier:
            stored.path.unlink(missing_ok=True)

    def parts(self, upload: str) -> list[StoredPart]:
        """The latest of each part, by number. Raises NotFound (`upload_not_found`)."""
        return list(self._latest(upload, 1))

    def _latest(self, upload: str, first: int) -> Iterator[StoredPart]:
        """The latest of each part from that one on, by number; no shelf is looked at before it is its turn."""
        self.key(upload)
        try:
            numbers = shelves.all_of(self._folder / upload)
        except FileNotFoundError:
            raise _unknown(upload) from None
        for shelf in numbers:
            if shelf < first // SHELF:
                continue
            stored = self._stored(upload, max(shelf * SHELF, first), shelf * SHELF + SHELF - 1)
            latest = {one.part.number: one for one in stored}
            yield from (latest[number] for number in sorted(latest))

    def all_parts(self, upload: str) -> list[StoredPart]:
        """The parts, which must be there from 1 on without a gap. Raises Conflict (`upload_incomplete`)."""
        parts = self.parts(upload)
        present = {stored.part.number for stored in parts}
        last = max(present, default=1)
        if missing := sorted(set(range(1, last + 1)) - present):
            shown = ", ".join(map(str, missing[:10]))
            raise Conflict(
                "upload_incomplete", f"Parts are missing: {shown}. Send them and complete it again.", missing=missing
            )
        return parts

    def source(self, upload: str, stored: StoredPart) -> tuple[Path, int]:
        """The file in which a part's bytes are, and where they begin in it."""
        if not stored.in_place:
            return stored.path, 0
        return whole.path_of(self._folder / upload), (stored.part.number - 1) * self._part_bytes(upload)

    def in_order(self, upload: str, after: int = 0) -> tuple[Path, list[tuple[str, int]]]:
        """The file of the whole, and (SHA-256, size) of its parts from the one after that number on, as far as they are
        there one after the other. Raises NotFound (`upload_not_found`)."""
        found, part_bytes = list[tuple[str, int]](), self._part_bytes(upload)
        for number, stored in enumerate(self._latest(upload, max(after, 1)), max(after, 1)):
            if not stored.in_place or stored.part.number != number:
                break
            if number > after:
                found.append((stored.part.sha256, stored.part.size))
            if stored.part.size != part_bytes:
                break
        return whole.path_of(self._folder / upload), found

    def whole(self, upload: str) -> Path | None:
        """The file of the whole, cut to its length, where every part is in its place and nobody writes to it any
        more; None where the parts must be joined. To be asked by whoever has the upload alone."""
        if not whole.close(self._folder / upload):
            return None
        path, parts = self.in_order(upload)
        if len(parts) != len(self.parts(upload)):
            return None
        os.truncate(path, sum(size for _, size in parts))
        return path

    def _part_bytes(self, upload: str) -> int:
        return int(self._read(upload, "meta.json").get("part_bytes") or 0)

    def finish(self, upload: str, sha256: str | None) -> None:
        """Note that the object is there, then let the parts go."""
        folder = self._folder / upload
        with telling_when_full("the end of an upload"):
            self._write(folder, "done.json", {"sha256": sha256})
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)  # a part that is just now noted goes with the upload
            elif path.name not in ("meta.json", "done.json"):
                path.unlink(missing_ok=True)

    def abort(self, upload: str) -> None:
        """Throw an upload away, if it is there."""
        if not is_id(upload, "upload"):
            return
        doomed = self._scratch / new_id("aborted")
        try:
            (self._folder / upload).rename(doomed)
        except FileNotFoundError:
            return
        remove(doomed)

    def _stored(self, upload: str, first: int, last: int) -> list[StoredPart]:
        """Every file of these parts, which are of one shelf, the oldest generation first."""
        found = []
        for path in shelves.noted(self._folder / upload, first):
            if (match := shelves.PART(path.name)) is None or not first <= int(match[1]) <= last:
                continue
            try:
                part = Part(int(match[1]), path.stat().st_size if match[4] is None else int(match[4]), match[3])
            except FileNotFoundError:
                continue
            found.append(StoredPart(part, path, int(match[2]), match[4] is not None))
        return found

    def _read(self, upload: str, name: str) -> dict[str, Any]:
        if not is_id(upload, "upload"):
            raise _unknown(upload)
        try:
            content: dict[str, Any] = orjson.loads((self._folder / upload / name).read_bytes())
        except FileNotFoundError:
            raise _unknown(upload) from None
        return content

    def _write(self, folder: Path, name: str, content: dict[str, Any]) -> None:
        """Write a small file whole or not at all."""
        draft = folder / f".{name}"
        with draft.open("wb") as file:
            file.write(orjson.dumps(content))
            file.flush()
            if self._sync:
                os.fsync(file.fileno())
        draft.rename(folder / name)
        self._settle(folder)

    def _make(self, shelf: Path) -> None:
        if not shelf.exists():
            shelf.mkdir(exist_ok=True)
            self._settle(shelf.parent)

    def _settle(self, folder: Path) -> None:
        if self._sync:
            sync_folder(folder)

    def _forget_old(self) -> None:
        """Drop the memory of uploads that were completed long ago."""
        for done in self._folder.glob("*/done.json"):
            try:
                if time.time() - done.stat().st_mtime > _KEPT:
                    self.abort(done.parent.name)
            except FileNotFoundError:
                continue


def check_number(number: int) -> None:
    """Raise Invalid (`bad_part_number`) unless it is one from 1 to 10,000."""
    if not 1 <= number <= MOST_PARTS:
        raise Invalid("bad_part_number", f"A part's number is from 1 to {MOST_PARTS}, not {number}.")


def _unknown(upload: str) -> NotFound:
    return NotFound("upload_not_found", f"There is no upload {upload!r} going on; begin a new one.")
