"""One HTTP request passed on by aiohttp and its answer passed back, both as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import aiohttp
import structlog
from multidict import CIMultiDict
from starlette.types import Send
from yarl import URL

from common.kernel.errors import BadUpstream
from gateway.domain.errors import ReplicaTimeout
from gateway.proxy.guard import Guard
from gateway.proxy.headers import Headers, passed_back

KEPT_ALIVE_SECONDS = 3.0
"""Shorter than servers keep idle connections (uvicorn: 5 s), so that we never send on one that is just closing."""
LONGEST_FIELD = 65_536
WHOLE_BODY = 256 * 1024

log = structlog.get_logger("proxy")


class NotConnected(Exception):
    """No connection, so nothing was sent: another target may be tried."""


class CutOff(Exception):
    """The answer broke off after it began: all that is left is to break off too."""


@dataclass(slots=True)
class Outgoing:
    """A request as it is passed on. `more`: the body goes on after `first`. `to` names the receiver in problems."""

    method: str
    url: URL
    headers: Headers
    first: bytes
    more: bool
    to: str = "replica"


def open_session(connect_seconds: float) -> aiohttp.ClientSession:
    """Connections to whatever is behind the gateway: no cookies, no decoding, no redirects, no header of its own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_ALIVE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_seconds),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        auto_decompress=False,
        max_line_size=LONGEST_FIELD,
        max_field_size=LONGEST_FIELD,
    )


async def exchange(
    session: aiohttp.ClientSession, out: Outgoing, guard: Guard, send: Send, extra: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    """Pass a request on and its answer back; `extra` headers are added to the answer.

    Raises NotConnected, BadUpstream (`<to>_failed`) where it broke before an answer began, ReplicaTimeout
    (`<to>_timeout`), and CutOff where it broke afterwards. Returns quietly where the client went away.
    """
    response: aiohttp.ClientResponse | None = None
    try:
        response = await _ask(session, out, guard)
        guard.answered = True
        await _answer(response, out.method, send, extra)
    except asyncio.CancelledError:
        if not guard.interrupted():
            raise
        if guard.late:
            raise ReplicaTimeout(f"{out.to}_timeout", f"The {out.to} took too long to begin its answer.") from None
    finally:
        guard.stop()
        if response is not None:
            response.close()


async def _ask(session: aiohttp.ClientSession, out: Outgoing, guard: Guard) -> aiohttp.ClientResponse:
    headers = CIMultiDict([(name.decode("latin-1"), value.decode("latin-1")) for name, value in out.headers])
    try:
        return await session.request(
            out.method, out.url, headers=headers, data=_body(out, guard), allow_redirects=False
        )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotConnected(str(error)) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if guard.gone:
            raise CutOff from error
        log.warning("no answer from behind the gateway", url=str(out.url.origin()), error=repr(error))
        raise BadUpstream(
            f"{out.to}_failed", f"The {out.to} broke off before it answered; it may have done what was asked."
        ) from error


def _body(out: Outgoing, guard: Guard) -> bytes | AsyncIterator[bytes] | None:
    if out.more or len(out.first) > WHOLE_BODY:
        return guard.upload(out.first) if out.more else _once(out.first)
    return out.first or None


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _answer(
    response: aiohttp.ClientResponse, method: str, send: Send, extra: Sequence[tuple[bytes, bytes]]
) -> None:
    headers = passed_back(response.raw_headers)
    headers.extend(extra)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    content = response.content
    try:
        while not content.at_eof():
            chunk = await content.readany()
            if content.at_eof():
                await send({"type": "http.response.body", "body": chunk, "more_body": False})
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except (aiohttp.ClientError, OSError) as error:
        log.warning("an answer broke off", url=str(response.url.origin()), method=method, error=repr(error))
        raise CutOff from error
    await send({"type": "http.response.body", "body": b"", "more_body": False})
