"""Downloads that are whole or not there: written beside the target, checked, then renamed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx2

from yard.direct import LARGE
from yard.errors import YardError
from yard.http import Http
from yard.links import fetched
from yard.pace import Patience
from yard.shapes import File

Got = Callable[[int, int | None], None]
"""Told the bytes that came, and the bytes in all where they are known."""


def download(
    http: Http,
    path: str,
    to: Path,
    *,
    params: Mapping[str, Any] | None = None,
    sha256: str | None = None,
    size: int = 0,
    progress: Got | None = None,
) -> Path:
    """Fetch a file to the path `to`; begun anew after a lost connection. One of `size` bytes from 16 MiB on comes
    straight from the file store where that gives links, and goes on where it broke off.

    Raises YardError: `checksum_mismatch` where the content isn't `sha256`, `connection_lost`, or the platform's own.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    if sha256 and size >= LARGE and fetched(http, path, params or {}, to, sha256, progress):
        return to
    trying = Patience(http.patience, http.hour)
    beside = to.with_name(f"{to.name}.part")
    try:
        digest = _fetched(http, path, params, beside, trying, progress)
        if sha256 and digest != sha256:
            raise YardError("checksum_mismatch", f"{to.name} came damaged: its SHA-256 is not the one told. Try again.")
        beside.replace(to)
    finally:
        beside.unlink(missing_ok=True)
    return to


def facts_of(files: Iterable[File], path: str) -> dict[str, Any]:
    """What a list of files knows of one, as `download` takes it: `sha256` and `size`."""
    found = next((file for file in files if file["path"] == path), None)
    return {} if found is None else {"sha256": found.get("sha256"), "size": found.get("size") or 0}


def _fetched(
    http: Http, path: str, params: Mapping[str, Any] | None, to: Path, trying: Patience, progress: Got | None
) -> str:
    while True:
        try:
            with http.stream(path, params, {"Accept-Encoding": "identity"}) as response:
                return _written(response, to, progress)
        except httpx2.TransportError as error:
            if not trying.wait():
                raise YardError("connection_lost", f"The download broke off ({error}). Try again.") from error


def _written(response: httpx2.Response, to: Path, progress: Got | None) -> str:
    length = response.headers.get("content-length")
    total, done, digest = int(length) if length else None, 0, hashlib.sha256()
    with to.open("wb") as file:
        for chunk in response.iter_bytes(1 << 16):
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    return digest.hexdigest()
