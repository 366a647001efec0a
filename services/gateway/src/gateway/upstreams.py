"""The services behind the gateway: one port, called in process or over the network.

An upstream is an ASGI app. In the embedded mode it is the service's own app, so nothing crosses a socket and streams
stay streams; else it is a `Remote`, which passes the request to a base address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, unquote

import aiohttp
import orjson
import structlog
from starlette.types import Message, Receive, Scope, Send
from yarl import URL

from common.kernel.errors import Unavailable
from gateway.domain.errors import ReplicaTimeout
from gateway.domain.paths import in_ascii
from gateway.proxy.alive import Alive
from gateway.proxy.guard import Guard
from gateway.proxy.headers import Headers, passed_on
from gateway.proxy.http import CutOff, NotConnected, Outgoing, exchange, open_session

log = structlog.get_logger("upstream")


class Upstream(Protocol):
    """A service as the gateway calls it: an ASGI app."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Serve one request."""
        ...


class Remote:
    """A service at a base address such as `http://train-svc:8000`."""

    def __init__(self, base: str, *, connect_seconds: float = 2.0, answer_seconds: float = 600.0) -> None:
        self._base = base.rstrip("/")
        self._connect_seconds = connect_seconds
        self._answer_seconds = answer_seconds
        self._session: aiohttp.ClientSession | None = None
        self._alive = Alive(f"{self._base}/healthz")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on. Raises Unavailable (`service_unavailable`) where nobody answers there."""
        if self._session is None:
            self._session = open_session(self._connect_seconds)
            self._alive.by(self._session)
        if self._alive.silent:
            raise self._unavailable()
        first = await receive()
        if first["type"] != "http.request":
            return
        headers = passed_on(scope["headers"]) + _ours(scope)
        url = URL(self._base + target_of(scope), encoded=True)
        body, more = first.get("body", b""), first.get("more_body", False)
        out = Outgoing(scope["method"], url, headers, body, more, to="service")
        guard = Guard(receive, self._answer_seconds)
        try:
            with self._alive.waits(guard):
                await exchange(self._session, out, guard, send)
        except NotConnected as error:
            raise self._unavailable() from error
        except ReplicaTimeout as error:
            raise (self._unavailable() if self._alive.silent else error) from None
        except CutOff:
            return

    def _unavailable(self) -> Unavailable:
        place = URL(self._base).authority
        return Unavailable("service_unavailable", f"The service at {place} does not answer at present. Try again soon.")

    async def close(self) -> None:
        """Give the connections back."""
        await self._alive.close()
        if self._session is not None:
            await self._session.close()


def _ours(scope: Scope) -> Headers:
    """What the front has put there: the internal token and the trace, and nothing that a client claimed."""
    return [(name, value) for name, value in scope["headers"] if name in (b"authorization", b"traceparent")]


def target_of(scope: Scope) -> str:
    """Path and query as they were sent."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope.get("query_string", b"")
    return in_ascii(raw + b"?" + query if query else raw)


@dataclass(frozen=True)
class Answer:
    """What an upstream answered to a question of the gateway's own."""

    status: int
    body: Any


async def ask(
    upstream: Upstream, path: str, *, query: str = "", headers: Headers | None = None, post: Any = None
) -> Answer:
    """GET a JSON document from an upstream, or POST one to it; `path` as it is written on the wire.

    Raises Unavailable (`service_unavailable`) where there is no proper answer.
    """
    content = b"" if post is None else orjson.dumps(post)
    started: Message = {}
    body = bytearray()
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        else:
            body.extend(message.get("body", b""))

    try:
        scope = _scope("GET" if post is None else "POST", path, query, [*(headers or []), *_about(content)])
        await upstream(scope, receive, send)
        return Answer(started["status"], orjson.loads(bytes(body)) if body else None)
    except Unavailable:
        raise
    except Exception as error:
        log.warning("an upstream failed", path=path, error=repr(error))
        raise Unavailable("service_unavailable", f"The owner of {path} does not answer at present.") from error


def _about(content: bytes) -> Headers:
    if not content:
        return []
    return [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]


def _scope(method: str, path: str, query: str, headers: Headers) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"gateway"), *headers],
        "client": ("127.0.0.1", 0),
        "server": ("gateway", 80),
    }
