"""Uploads in parts, kept in folders: `<id>/meta.json`, the parts, and at the end `done.json` in their place.

A part's name holds its number, a generation and its SHA-256, so that one rename makes it whole and known at once.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import orjson

from common.disk import sync_folder, telling_when_full
from common.kernel.errors import Conflict, Invalid, NotFound
from common.kernel.ids import is_id, new_id
from common.ports.files import Part

MOST_PARTS = 10_000
"""What S3 takes too."""

_PART = re.compile(r"^(\d{5})\.(\d{6})\.([0-9a-f]{64})$").match
_KEPT = 7 * 24 * 3600.0
"""Seconds for which a completed upload is remembered, so that completing it again finds its end."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part and the file that holds it."""

    part: Part
    path: Path
    generation: int


class Uploads:
    """The uploads below `folder`. `scratch` is on the same disk. Blocking; used in threads."""

    def __init__(self, folder: Path, scratch: Path, *, sync: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._scratch = scratch
        self._sync = sync

    def begin(self, key: str) -> str:
        """A new upload for `key`; gives its id."""
        self._forget_old()
        upload = new_id("upload")
        draft = self._scratch / upload
        with telling_when_full(f"an upload of {key}"):
            draft.mkdir(0o750)
            self._write(draft, "meta.json", {"key": key})
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

    def outcome(self, upload: str) -> dict[str, str | None] | None:
        """What `finish` noted, or None while the upload goes on."""
        try:
            return self._read(upload, "done.json")
        except NotFound:
            return None

    def keep(self, upload: str, number: int, draft: Path, sha256: str) -> None:
        """Take a complete part in, in place of an earlier one. Raises NotFound (`upload_not_found`)."""
        if self.outcome(upload) is not None:
            raise _unknown(upload)
        earlier = [stored for stored in self._stored(upload) if stored.part.number == number]
        generation = max((stored.generation for stored in earlier), default=0) + 1
        try:
            draft.rename(self._folder / upload / f"{number:05d}.{generation:06d}.{sha256}")
            self._settle(self._folder / upload)
        except FileNotFoundError:
            raise _unknown(upload) from None
        for stored in earlier:
            stored.path.unlink(missing_ok=True)

    def parts(self, upload: str) -> list[StoredPart]:
        """The latest of each part, by number. Raises NotFound (`upload_not_found`)."""
        latest = {stored.part.number: stored for stored in self._stored(upload)}
        return [latest[number] for number in sorted(latest)]

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

    def finish(self, upload: str, sha256: str | None) -> None:
        """Note that the object is there, then let the parts go."""
        folder = self._folder / upload
        with telling_when_full("the end of an upload"):
            self._write(folder, "done.json", {"sha256": sha256})
        for path in folder.iterdir():
            if path.name not in ("meta.json", "done.json"):
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
        shutil.rmtree(doomed)

    def _stored(self, upload: str) -> list[StoredPart]:
        """Every file of a part, oldest generation first."""
        self.key(upload)
        found = []
        for path in sorted((self._folder / upload).iterdir()):
            if (match := _PART(path.name)) is None:
                continue
            try:
                part = Part(int(match[1]), path.stat().st_size, match[3])
            except FileNotFoundError:
                continue
            found.append(StoredPart(part, path, int(match[2])))
        return found

    def _read(self, upload: str, name: str) -> dict[str, str | None]:
        if not is_id(upload, "upload"):
            raise _unknown(upload)
        try:
            content: dict[str, str | None] = orjson.loads((self._folder / upload / name).read_bytes())
        except FileNotFoundError:
            raise _unknown(upload) from None
        return content

    def _write(self, folder: Path, name: str, content: dict[str, str | None]) -> None:
        """Write a small file whole or not at all."""
        draft = folder / f".{name}"
        with draft.open("wb") as file:
            file.write(orjson.dumps(content))
            file.flush()
            if self._sync:
                os.fsync(file.fileno())
        draft.rename(folder / name)
        self._settle(folder)

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
