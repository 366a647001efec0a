"""A WebSocket passed on: the handshake is ours to judge, the messages go through both ways with their close codes."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import structlog
from starlette.types import Receive, Scope, Send

from common.kernel.errors import BadUpstream, Forbidden, Problem
from common.web.problems import answer_problem
from gateway.proxy.headers import Headers, header
from gateway.proxy.http import NotConnected

log = structlog.get_logger("proxy")

_HANDSHAKE = b"sec-websocket-"
ABNORMAL = 1006
GOING_AWAY = 1001


def check_origin(scope: Scope) -> None:
    """Raises Forbidden (`foreign_origin`) where a browser says that another site's page asks (RFC 6455 §10.2)."""
    origin = header(scope["headers"], b"origin")
    if origin is None:
        return
    host = header(scope["headers"], b"host") or b""
    if origin.partition(b"://")[2].lower() != host.lower():
        raise Forbidden("foreign_origin", "A page of another site can't open a WebSocket here.")


async def refuse(scope: Scope, send: Send, problem: Problem) -> None:
    """Refuse the handshake, with the reason where the server can carry one."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": problem.code})
        return

    async def as_denial(message: Any) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await answer_problem(as_denial, problem)


async def connect(
    session: aiohttp.ClientSession, url: str, headers: Headers, protocols: tuple[str, ...]
) -> aiohttp.ClientWebSocketResponse:
    """Open the far side. Raises NotConnected, and BadUpstream (`websocket_refused`) where it refuses the handshake."""
    passed = {n.decode("latin-1"): v.decode("latin-1") for n, v in headers if not n.startswith(_HANDSHAKE)}
    try:
        return await session.ws_connect(
            url, protocols=protocols, headers=passed, autoclose=False, autoping=False, max_msg_size=0
        )
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotConnected(str(error)) from error
    except (aiohttp.ClientError, OSError) as error:
        raise BadUpstream("websocket_refused", f"The replica takes no WebSocket there: {error}") from error


async def bridge(far: aiohttp.ClientWebSocketResponse, receive: Receive, send: Send) -> None:
    """Carry messages both ways until either side closes."""
    await send({"type": "websocket.accept", "subprotocol": far.protocol})
    up = asyncio.create_task(_upwards(far, receive))
    down = asyncio.create_task(_downwards(far, send))
    try:
        await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (up, down):
            task.cancel()
        outcomes = await asyncio.gather(up, down, return_exceptions=True)
        await far.close()
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            log.info("a websocket broke off", error=repr(outcome))


async def _upwards(far: aiohttp.ClientWebSocketResponse, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            await far.close(code=_sendable(message.get("code")))
            return
        if message["type"] == "websocket.receive":
            if message.get("bytes") is not None:
                await far.send_bytes(message["bytes"])
            else:
                await far.send_str(message.get("text") or "")


async def _downwards(far: aiohttp.ClientWebSocketResponse, send: Send) -> None:
    while True:
        message = await far.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": message.data})
        elif message.type is aiohttp.WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})
        elif message.type is aiohttp.WSMsgType.PING:
            await far.pong(message.data)
        elif message.type is not aiohttp.WSMsgType.PONG:
            reason = message.extra if isinstance(message.extra, str) else ""
            await send({"type": "websocket.close", "code": _sendable(far.close_code), "reason": reason})
            return


def _sendable(code: int | None) -> int:
    """A close code that may be sent: those that only say how a connection was lost may not (RFC 6455 §7.4.1)."""
    if code is None or code in (1005, ABNORMAL, 1015):
        return GOING_AWAY if code == ABNORMAL else 1000
    return code
