"""One request at a time, sent again where that is safe, and failures told as `YardError`.

Sent again after a lost connection is only what can be repeated: reads, whole replacements, deletions, and creates,
which carry an `Idempotency-Key` of their own. A refused connection never reached anybody, so it is always tried again.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2

from yard.errors import YardError, problem_of
from yard.pace import Patience, Time

API = "/api/v1"
KEPT_ALIVE_SECONDS = 3.0
"""For how long an idle connection is used again: shorter than the platform keeps it, which else may just be closing it
(RFC 9112 §9.6)."""
LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEPT_ALIVE_SECONDS)
_REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_LATER = frozenset({429, 503})

Body = Mapping[str, Any] | list[Any]


def normal_address(address: str) -> str:
    """`host:port` or a pasted address as the base of all requests. Raises YardError (`bad_address`)."""
    text = address.strip()
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise YardError("bad_address", f"{address!r} is no address. Give one like http://127.0.0.1:8765.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix(API)}"


def is_loopback(address: str) -> bool:
    """Whether the address is on this machine, where no proxy is to be asked."""
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Http:
    """The connection to one platform. `patience` is in seconds; `transport` replaces the network in tests."""

    def __init__(
        self,
        address: str,
        secret: str | None = None,
        *,
        patience: float = 10.0,
        timeout: float = 60.0,
        hour: Time | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.address = normal_address(address)
        self.hour = hour or Time()
        self.patience = patience
        self._client = httpx2.Client(
            base_url=self.address,
            timeout=httpx2.Timeout(timeout, connect=5.0),
            limits=LIMITS,
            transport=transport,
            verify=self.address.startswith("https:"),  # reading certificates that are not needed takes 0.1 s
            trust_env=not is_loopback(self.address),
            headers={"User-Agent": "yard"},
        )
        if secret:
            self.identify(secret)

    def identify(self, secret: str) -> None:
        """Act from now on with that token or API key."""
        self._client.headers["Authorization"] = f"Bearer {secret}"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """Read JSON; parameters that are None are left out."""
        return self.send("GET", path, params=params).json()

    def create(self, path: str, body: Body, *, key: str | None = None) -> Any:
        """Make something, once, however often it has to be sent. `key` makes it once over several calls."""
        return self.send("POST", path, json=body, key=key or uuid.uuid4().hex).json()

    def act(self, path: str, body: Body | None = None, *, repeat: bool = True) -> Any:
        """Do a verb (`…/stop`). `repeat` says that doing it twice is doing it once. None where nothing is answered."""
        response = self.send("POST", path, json=body, repeat=repeat)
        return response.json() if response.content else None

    def put(self, path: str, body: Body) -> Any:
        """Replace something."""
        return self.send("PUT", path, json=body).json()

    def change(self, path: str, body: Body) -> Any:
        """Set some fields; setting them twice is setting them once."""
        return self.send("PATCH", path, json=body, repeat=True).json()

    def delete(self, path: str) -> None:
        """Remove something; that it is gone when the deletion is sent again is no error."""
        self.send("DELETE", path)

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Body | None = None,
        content: bytes | None = None,
        files: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        repeat: bool | None = None,
        patience: float | None = None,
    ) -> httpx2.Response:
        """Send a request (`path` below `/api/v1` unless it starts with `/`) and answer what came back.

        Raises YardError with the platform's own code, or `unreachable` where it did not answer.
        """
        given = {"params": given_only(params), "json": json, "content": content, "files": files, "data": data}
        sent = {name: value for name, value in given.items() if value is not None}
        sent["headers"] = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        repeatable = repeat if repeat is not None else method in _REPEATABLE or key is not None
        trying = Patience(self.patience if patience is None else patience, self.hour)
        return self._persist(method, path, sent, repeatable, trying)

    def _persist(
        self, method: str, path: str, sent: dict[str, Any], repeatable: bool, trying: Patience
    ) -> httpx2.Response:
        again = False
        while True:
            try:
                response = self._client.request(method, url_of(path), **sent)
            except httpx2.TransportError as error:
                safe = repeatable or isinstance(error, _NEVER_SENT)
                if not (safe and trying.wait()):
                    raise self._unreachable(error, sure=isinstance(error, _NEVER_SENT)) from error
                again = again or not isinstance(error, _NEVER_SENT)
                continue
            if repeatable and (pause := retry_after(response)) is not None and trying.wait(pause):
                continue
            if repeatable and broke_off(response) and trying.wait():
                again = True
                continue
            if again and method == "DELETE" and response.status_code == httpx2.codes.NOT_FOUND:
                return response
            return checked(response, again=again)

    @contextmanager
    def stream(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[httpx2.Response]:
        """Read an answer piece by piece. Raises YardError as `send` does; transport errors come as they are."""
        given: dict[str, Any] = {"params": given_only(params) or {}, "headers": headers or {}}
        if timeout is not None:
            given["timeout"] = httpx2.Timeout(timeout, connect=5.0)
        with self._client.stream("GET", url_of(path), **given) as response:
            if response.is_error:
                response.read()
            yield checked(response)

    def pages(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Every item of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, {**(params or {}), "cursor": cursor})
            yield from page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _unreachable(self, error: Exception, *, sure: bool) -> YardError:
        why = str(error) or type(error).__name__
        if sure:
            return YardError("unreachable", f"Nobody answers at {self.address} ({why}). Is the platform running there?")
        return YardError(
            "connection_lost",
            f"The connection to {self.address} was lost ({why}). "
            "Whether the request was done is not known: look before repeating it.",
        )


def url_of(path: str) -> str:
    """Paths are below the API unless they start with `/`."""
    return path if path.startswith("/") else f"{API}/{path}"


def given_only(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Parameters without those that are None; booleans as JSON has them."""
    if params is None:
        return None
    return {name: str(v).lower() if isinstance(v, bool) else v for name, v in params.items() if v is not None}


def retry_after(response: httpx2.Response) -> float | None:
    """How many seconds to wait where the platform asks to come again (RFC 9110 §10.2.3), else None."""
    if response.status_code not in _LATER or not (told := response.headers.get("retry-after", "")).isdigit():
        return None
    return float(told)


def broke_off(response: httpx2.Response) -> bool:
    """Whether the gateway lost the service behind it before that answered: a lost connection, one hop further on."""
    return (
        response.status_code == httpx2.codes.BAD_GATEWAY
        and problem_of(response.status_code, response.content).code == "service_failed"
    )


def checked(response: httpx2.Response, *, again: bool = False) -> httpx2.Response:
    """The answer itself where it is good. Raises the YardError that it tells of; `again` as in there."""
    if response.is_error:
        problem = problem_of(response.status_code, response.content)
        problem.again = again
        raise problem
    return response


def joined(pieces: Iterable[str]) -> str:
    """Path pieces put together, each made safe: an id may come from a person's keyboard."""
    from urllib.parse import quote

    return "/".join(quote(piece, safe="") for piece in pieces)
