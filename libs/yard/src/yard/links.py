"""Large downloads straight from the platform's file store, by links; what came before one broke off is kept.

The store is never shown who we are: a link is all it asks for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import httpx2

from yard.errors import YardError
from yard.http import Http, is_loopback
from yard.pace import Patience


def fetched(
    http: Http,
    path: str,
    params: Mapping[str, Any],
    to: Path,
    sha256: str,
    progress: Callable[[int, int | None], None] | None,
) -> bool:
    """Fetch a file to `to` from the store; False, and nothing is there, where it gives no link or can't be reached.

    Raises YardError: `checksum_mismatch`, `connection_lost` (what came is kept, and the next time goes on there).
    """
    link = _link(http, path, params)
    if not link["direct"]:
        return False
    beside = to.with_name(f"{to.name}.{sha256[:12]}.part")
    before, trying, url = _size(beside), Patience(http.patience, http.hour), str(link["url"])
    limits = httpx2.Timeout(60.0, connect=3.0)
    with httpx2.Client(timeout=limits, verify=url.startswith("https:"), trust_env=not is_loopback(url)) as store:
        while True:
            try:
                _go_on(store, link, beside, progress)
                break
            except (_Refused, httpx2.TransportError) as error:
                if not beside.exists() or ((ended := not trying.wait()) and _size(beside) == before):
                    return False
                if ended:
                    detail = f"The download broke off ({error}). Try again: it goes on where it is."
                    raise YardError("connection_lost", detail) from error
                link = _link(http, path, params)
    if _digest(beside) != sha256:
        beside.unlink()
        raise YardError("checksum_mismatch", f"{to.name} came damaged: its SHA-256 is not the one told. Try again.")
    beside.replace(to)
    return True


class _Refused(Exception):
    """The store does not take the link, any more or at all."""


def _link(http: Http, path: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    told: Mapping[str, Any] = http.get(path, {**params, "link": True})
    return told


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _go_on(
    store: httpx2.Client, link: Mapping[str, Any], to: Path, progress: Callable[[int, int | None], None] | None
) -> None:
    """Fetch what is missing. A link to part of a larger object can only be asked for as it is, from the beginning."""
    headers = {"Accept-Encoding": "identity", **link["headers"]}
    there = 0 if link["headers"] else _size(to)
    if there >= link["size"]:
        return
    if there:
        headers["Range"] = f"bytes={there}-"
    with store.stream("GET", link["url"], headers=headers) as response:
        if response.is_error:
            raise _Refused(f"the file store answers {response.status_code}")
        goes_on = there > 0 and response.status_code == httpx2.codes.PARTIAL_CONTENT
        with to.open("ab" if goes_on else "wb") as file:
            _write(response, file, there if goes_on else 0, link["size"], progress)


def _write(
    response: httpx2.Response,
    file: BinaryIO,
    done: int,
    total: int,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    for chunk in response.iter_raw():
        file.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done, total)
    if done != total:
        raise httpx2.ReadError(f"{done} of {total} bytes came")


def _digest(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
