"""Uploads in parts that go on where they stopped: only what has not arrived is sent.

Which upload a file belongs to is remembered by the platform, not here: the create carries an `Idempotency-Key` made
from the file's path, size and time of change, so the same file finds its unfinished upload again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from yard.direct import LARGE, NotReachable, Straight
from yard.errors import YardError
from yard.http import Http, joined
from yard.parts import abreast, parts_of
from yard.shapes import Import, Upload

Sent = Callable[[int, int], None]
"""Told the bytes that arrived, and the bytes in all."""

PATIENCE = 60.0
"""Seconds that one part is tried for when the connection is lost."""

_TRIES = 100
_ROUNDS = 3


@dataclass(frozen=True)
class How:
    """Which way: `direct` True or False, or None: by size. `say` is told in a line where it goes another way."""

    progress: Sent | None = None
    direct: bool | None = None
    say: Callable[[str], None] | None = None


def upload(http: Http, dataset: str, file: Path, part: str, how: How = How()) -> Import:
    """Send a file and begin its import; `dataset` is the dataset's path in the API.

    Raises YardError: `no_such_file`, `file_changed` where the file is written to meanwhile, or the platform's own.
    """
    size, uploads = _size_of(file), f"{dataset}/uploads"
    direct = how.direct if how.direct is not None else size >= LARGE
    found = _begin(http, uploads, file, size, part, direct)
    if found.get("direct"):
        begun = _straight(http, dataset, file, found, how)
        if begun is not None:
            return begun
        found = _begin(http, uploads, file, size, part, False)
    elif how.direct and how.say is not None:
        how.say("The platform's file store gives no links, so the file goes through the platform.")
    digest = _send_parts(http, f"{uploads}/{joined([found['id']])}", file, found, how.progress)
    _check_unchanged(file, size)
    return _complete(http, dataset, found["id"], digest)


def _straight(http: Http, dataset: str, file: Path, found: Upload, how: How) -> Import | None:
    """Send a file straight to the store and begin its import; None where that way is closed from here."""
    upload, size = f"{dataset}/uploads/{joined([found['id']])}", found["size"]
    every = range(1, -(-size // found["part_size"]) + 1)
    for last in [False] * (_ROUNDS - 1) + [True]:
        counted = _Counted(size, how.progress)
        arrived = {part["number"] for part in found.get("arrived", ())}
        try:
            way = Straight(http, upload, [number for number in every if number not in arrived])
            digest = way.send(file, found["part_size"], counted.add)
            _check_unchanged(file, size)
            return _complete(http, dataset, found["id"], digest)
        except NotReachable as closed:
            if how.say is not None:
                how.say(f"The file store can't be reached from here ({closed}): the file goes through the platform.")
            http.delete(upload)
            return None
        except YardError as error:
            if last or error.code != "upload_incomplete":
                raise
            found = cast(Upload, http.get(upload))  # the store has forgotten some: once more
    return None


class _Counted:
    """Bytes that are there, told as they become more."""

    def __init__(self, total: int, progress: Sent | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def add(self, size: int) -> None:
        self._done += size
        if self._progress is not None:
            self._progress(self._done, self._total)


def _check_unchanged(file: Path, size: int) -> None:
    if _size_of(file) != size:
        raise YardError("file_changed", f"{file} changed while it was sent. Upload it again when it is whole.")


def _size_of(file: Path) -> int:
    if not file.is_file():
        raise YardError("no_such_file", f"There is no file {file}.")
    return file.stat().st_size


def _begin(http: Http, uploads: str, file: Path, size: int, part: str, direct: bool) -> Upload:
    """The unfinished upload of this very file, or a new one."""
    about = f"{uploads}\n{part}\n{file.resolve()}\n{size}\n{file.stat().st_mtime_ns}"
    body: dict[str, Any] = {"part": part, "filename": file.name, "size": size}
    if direct:
        about, body = f"{about}\ndirect", body | {"direct": True}
    for number in range(_TRIES):
        key = hashlib.sha256(f"{about}\n{number}".encode()).hexdigest()
        made = cast(Upload, http.create(uploads, body, key=key))
        now = _look(http, f"{uploads}/{joined([made['id']])}")
        if now is not None and now["state"] == "open":
            return now
    raise YardError("too_many_uploads", f"{file} was uploaded {_TRIES} times before. Copy it and upload the copy.")


def _look(http: Http, upload: str) -> Upload | None:
    try:
        return cast(Upload, http.get(upload))
    except YardError as error:
        if error.status == 404:
            return None
        raise


def _send_parts(http: Http, upload: str, file: Path, found: Upload, progress: Sent | None) -> str:
    """Send what is missing or is not what the file holds now; gives the digest of the whole file."""
    arrived = {part["number"]: part["sha256"] for part in found.get("arrived", ())}
    counted, whole = _Counted(found["size"], progress), hashlib.sha256()

    def put(number: int, content: bytes) -> int:
        if arrived.get(number) != (digest := hashlib.sha256(content).hexdigest()):
            headers = {"X-Content-SHA256": digest}
            http.send("PUT", f"{upload}/parts/{number}", content=content, headers=headers, patience=PATIENCE)
        return len(content)

    with abreast(counted.add) as send:
        for number, content in parts_of(file, found["part_size"]):
            send(put, number, content)
            whole.update(content)
    return whole.hexdigest()


def _complete(http: Http, dataset: str, upload_id: str, digest: str) -> Import:
    """Begin the import; where that was asked before and the answer was lost, the import that it began."""
    upload = f"{dataset}/uploads/{joined([upload_id])}"
    try:
        return cast(Import, http.act(f"{upload}/complete", {"sha256": digest}))
    except YardError as error:
        now = _look(http, upload) if error.status in (404, 409) else None
        if now is None or not (begun := now.get("import_id")):
            raise
        return cast(Import, http.get(f"{dataset}/imports/{joined([begun])}"))
