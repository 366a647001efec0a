"""Parts of an upload that go straight to the platform's file store, several at once, by links that the platform gives.

The store is never shown who we are: a link is all it asks for. Where nobody can be reached there, or it refuses the
very first part, the caller goes through the platform instead.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from threading import Lock

import httpx2

from yard.errors import YardError
from yard.http import Http, is_loopback
from yard.pace import Patience
from yard.parts import abreast, parts_of

LARGE = 16 << 20
"""Bytes from which on a file goes straight to the file store, or comes from there, where that gives links."""

BATCH = 32
"""Links that are asked for at once."""

_PATIENCE, _TIMEOUT, _CONNECT = 60.0, 60.0, 3.0
_STALE = frozenset({403, 404})
"""What a store answers to a link that has expired, or whose upload it has forgotten."""


class NotReachable(Exception):
    """The store can't be reached from here, or takes no link; says why."""


class Straight:
    """One upload's way to the store. `upload` is its path in the API; `numbers` are the parts that are missing."""

    def __init__(self, http: Http, upload: str, numbers: Collection[int]) -> None:
        self._http, self._upload = http, upload
        self._missing = deque(sorted(numbers))
        self._links: dict[int, str] = {}
        self._asking = Lock()
        self._store: httpx2.Client | None = None
        self._works = False

    def send(self, file: Path, part_size: int, progress: Callable[[int], None]) -> str:
        """Send the missing parts; gives the SHA-256 of the whole file in hex. `progress` is told bytes that are there
        besides those before. Raises NotReachable before anything was sent, later YardError (`connection_lost`,
        `store_refused`)."""
        missing, whole = set(self._missing), hashlib.sha256()
        try:
            with abreast(progress) as send:
                for number, content in parts_of(file, part_size):
                    if number not in missing:
                        progress(len(content))
                    elif not self._works:
                        progress(self._put(number, content))
                    else:
                        send(self._put, number, content)
                    whole.update(content)
        finally:
            self.close()
        return whole.hexdigest()

    def close(self) -> None:
        """Give the connections back."""
        if self._store is not None:
            self._store.close()

    def _put(self, number: int, content: bytes) -> int:
        """One part, tried again while that makes sense."""
        trying, url = Patience(_PATIENCE, self._http.hour), self._link(number)
        while True:
            try:
                answer = self._at(url).put(url, content=content)
            except httpx2.TransportError as error:
                if not self._works and isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                    raise NotReachable(str(error) or type(error).__name__) from error
                if trying.wait():
                    continue
                raise YardError("connection_lost", f"The file store does not answer ({error}). Try again.") from error
            if answer.is_success:
                self._works = True
                return len(content)
            if not self._works and answer.is_client_error:
                raise NotReachable(f"it answers {answer.status_code}")
            if not trying.wait():
                detail = f"The file store answered {answer.status_code} to part {number}. Upload it again."
                raise YardError("store_refused", detail)
            url = self._link(number, fresh=answer.status_code in _STALE)

    def _at(self, url: str) -> httpx2.Client:
        with self._asking:
            if self._store is None:
                limits = httpx2.Timeout(_TIMEOUT, connect=_CONNECT)
                self._store = httpx2.Client(
                    timeout=limits, verify=url.startswith("https:"), trust_env=not is_loopback(url)
                )
            return self._store

    def _link(self, number: int, *, fresh: bool = False) -> str:
        """Where that part is to be put; links are asked for in batches, and each is used up by its part."""
        with self._asking:
            if fresh or number not in self._links:
                asked = [one for one in self._missing if one >= number][:BATCH]
                answer = self._http.act(f"{self._upload}/links", {"numbers": asked or [number]})
                self._links |= {one["number"]: one["url"] for one in answer["items"]}
            return self._links[number]
