"""WebSockets through the data plane: the handshake is judged here, everything else goes through."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from common.contracts.shared import Visibility
from tests.gateway.gate import Call, Gate, gate, replica, until

pytestmark = pytest.mark.row("P1")


@pytest_asyncio.fixture
async def g(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gate(tmp_path) as opened:
        yield opened


def open_socket(g: Gate, credential: str | None, path: str = "/serve/svc-1/talk?x=1", **headers: str) -> Call:
    raw, _, query = path.partition("?")
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if credential is not None:
        given["authorization"] = f"Bearer {credential}"
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "scheme": "ws",
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"gate"), *((n.encode(), v.encode()) for n, v in given.items())],
        "subprotocols": ["chat", "other"],
        "extensions": {"websocket.http.response": {}},
    }
    call = Call(g.app, scope)
    call.feed({"type": "websocket.connect"})
    return call


async def talk(incoming: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=["chat"])
    await socket.prepare(incoming)
    await socket.send_json({"path": incoming.raw_path, "headers": sorted({n.lower() for n in incoming.headers})})
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(message.data[::-1])
        elif message.data == "go away":
            await socket.close(code=4001, message=b"as you wish")
        else:
            await socket.send_str(message.data.upper())
    return socket


async def message(call: Call) -> dict[str, Any]:
    found = await call.next()
    assert found is not None
    return dict(found)


async def test_messages_go_both_ways(g: Gate) -> None:
    async with replica(web.get("/talk", talk)) as url:
        g.route(url)
        call = open_socket(g, await g.log_in(), cookie="a=1", x_yard_user="admin")
        assert await message(call) == {"type": "websocket.accept", "subprotocol": "chat"}
        told = orjson.loads((await message(call))["text"])
        assert told["path"] == "/talk?x=1"
        assert not {"authorization", "cookie", "x-yard-user"} & set(told["headers"])
        call.feed({"type": "websocket.receive", "text": "hello"})
        assert (await message(call))["text"] == "HELLO"
        call.feed({"type": "websocket.receive", "bytes": b"abc"})
        assert (await message(call))["bytes"] == b"cba"
        assert g.context.routes.in_flight("svc-1") == 1
        call.feed({"type": "websocket.receive", "text": "go away"})
        assert await message(call) == {"type": "websocket.close", "code": 4001, "reason": "as you wish"}
        await call.done()
    assert g.context.routes.in_flight("svc-1") == 0


@pytest.mark.parametrize(("code", "seen"), [(4002, 4002), (1005, 1000), (1006, 1001)])
async def test_a_clients_close_reaches_the_replica(g: Gate, code: int, seen: int) -> None:
    codes: list[int | None] = []

    async def listen(incoming: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(incoming)
        async for _ in socket:
            pass
        codes.append(socket.close_code)
        return socket

    async with replica(web.get("/talk", listen)) as url:
        g.route(url)
        call = open_socket(g, await g.log_in())
        await message(call)
        call.feed({"type": "websocket.disconnect", "code": code})
        await call.done()
        await until(lambda: codes == [seen])


async def test_a_replica_that_dies_closes_the_socket(g: Gate) -> None:
    async def die(incoming: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(incoming)
        assert incoming.transport is not None
        incoming.transport.abort()
        return socket

    async with replica(web.get("/talk", die)) as url:
        g.route(url)
        call = open_socket(g, await g.log_in())
        assert (await message(call))["type"] == "websocket.accept"
        assert await message(call) == {"type": "websocket.close", "code": 1001, "reason": ""}
        await call.done()


@pytest.mark.parametrize(
    ("credential", "headers", "status", "code"),
    [
        (None, {}, 401, "no_token"),
        ("yk_wrong", {}, 401, "bad_token"),
        ("good", {"origin": "https://evil.example"}, 403, "foreign_origin"),
        ("good", {"origin": "null"}, 403, "foreign_origin"),
    ],
)
async def test_a_handshake_is_refused_with_its_reason(
    g: Gate, credential: str | None, headers: dict[str, str], status: int, code: str
) -> None:
    async with replica(web.get("/talk", talk)) as url:
        g.route(url)
        call = open_socket(g, await g.log_in() if credential == "good" else credential, **headers)
        start, body = await message(call), await message(call)
        assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
        assert orjson.loads(body["body"])["code"] == code
        await call.done()


async def test_pages_of_this_address_may_connect(g: Gate) -> None:
    async with replica(web.get("/talk", talk)) as url:
        g.route(url)
        call = open_socket(g, await g.log_in(), origin="http://gate")
        assert (await message(call))["type"] == "websocket.accept"
        await call.close()


async def test_others_private_services_are_not_there(g: Gate) -> None:
    alice, _ = await g.user("alice")
    _, bob = await g.user("bob")
    async with replica(web.get("/talk", talk)) as url:
        g.route(url, owner=alice, visibility=Visibility.PRIVATE)
        assert (await message(open_socket(g, bob)))["status"] == 404


async def test_nobody_behind_the_address(g: Gate) -> None:
    token = await g.log_in()
    g.route(state="stopped")
    assert (await message(open_socket(g, token)))["status"] == 503
    g.route("http://127.0.0.1:1")
    assert (await message(open_socket(g, token)))["status"] == 502
    async with replica(web.get("/other", talk)) as url:
        g.route(url)
        call = open_socket(g, token)
        assert (await message(call))["status"] == 502
        assert orjson.loads((await message(call))["body"])["code"] == "websocket_refused"


async def test_servers_that_can_not_carry_a_reason_get_a_close(g: Gate) -> None:
    scope = {"type": "websocket", "path": "/api/v1/jobs", "headers": [], "query_string": b"", "scheme": "ws"}
    call = Call(g.app, scope)
    call.feed({"type": "websocket.connect"})
    assert await message(call) == {"type": "websocket.close", "code": 1008, "reason": "no_such_path"}
    await call.done()
