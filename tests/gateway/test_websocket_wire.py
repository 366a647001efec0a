"""WebSockets through a real server, socket to socket: handshake, messages, close codes."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest
import uvicorn
from aiohttp import web

from tests.gateway.gate import Gate, gate, replica, until

pytestmark = pytest.mark.row("P1")


@asynccontextmanager
async def served(g: Gate) -> AsyncIterator[str]:
    """The gateway behind uvicorn, with the WebSocket library that it finds by itself; gives the service's address."""
    with contextlib.closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(g.app, log_config=None, lifespan="off", timeout_graceful_shutdown=5))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        try:
            yield f"ws://127.0.0.1:{listening.getsockname()[1]}/serve/svc-1/talk"
        finally:
            server.should_exit = True
            await task


class Replica:
    """A replica that talks back in capitals and backwards; `codes` is how its sockets were closed by the far side."""

    def __init__(self) -> None:
        self.codes: list[int | None] = []
        self.handshakes = 0

    async def talk(self, incoming: web.Request) -> web.WebSocketResponse:
        self.handshakes += 1
        talking = web.WebSocketResponse(protocols=["chat"])
        await talking.prepare(incoming)
        await talking.send_json({"path": incoming.raw_path, "headers": sorted(n.lower() for n in incoming.headers)})
        async for message in talking:
            if message.type is aiohttp.WSMsgType.BINARY:
                await talking.send_bytes(message.data[::-1])
            elif message.data == "go away":
                await talking.close(code=4001, message=b"as you wish")
            else:
                await talking.send_str(message.data.upper())
        self.codes.append(talking.close_code)
        return talking


@asynccontextmanager
async def line(home: Path) -> AsyncIterator[tuple[Gate, Replica, str, aiohttp.ClientSession]]:
    """A gateway on a socket, a replica behind it and a client before it, with half a minute for everything."""
    far = Replica()
    async with asyncio.timeout(120), gate(home) as g, replica(web.get("/talk", far.talk)) as url:
        g.route(url)
        async with served(g) as address, aiohttp.ClientSession() as session:
            yield g, far, address, session


async def test_messages_and_the_replicas_close_code_come_through(tmp_path: Path) -> None:
    async with line(tmp_path) as (g, _, address, session):
        headers = {"Authorization": f"Bearer {await g.log_in()}", "Cookie": "a=1", "X-Yard-User": "admin"}
        async with session.ws_connect(f"{address}?x=1", headers=headers, protocols=["other", "chat"]) as near:
            assert near.protocol == "chat"
            told = await near.receive_json()
            assert told["path"] == "/talk?x=1"
            assert not {"authorization", "cookie", "x-yard-user"} & set(told["headers"])
            await near.send_str("größe")
            assert await near.receive_str() == "GRÖSSE"
            big = bytes(range(256)) * 1024
            await near.send_bytes(big)
            assert await near.receive_bytes() == big[::-1]
            assert g.context.routes.in_flight("svc-1") == 1
            await near.send_str("go away")
            closed = await near.receive()
            assert (closed.type, closed.data, closed.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as you wish")
        await until(lambda: g.context.routes.in_flight("svc-1") == 0)


async def test_a_clients_close_code_reaches_the_replica(tmp_path: Path) -> None:
    async with line(tmp_path) as (g, far, address, session):
        headers = {"Authorization": f"Bearer {await g.log_in()}"}
        async with session.ws_connect(address, headers=headers) as near:
            await near.receive_json()
            await near.close(code=4002)
        await until(lambda: far.codes == [4002])


@pytest.mark.parametrize(
    ("credential", "origin", "status", "code"),
    [
        (None, None, 401, "no_token"),
        ("yk_wrong", None, 401, "bad_token"),
        ("good", "https://evil.example", 403, "foreign_origin"),
    ],
)
async def test_a_refused_handshake_never_reaches_the_replica(
    tmp_path: Path, credential: str | None, origin: str | None, status: int, code: str
) -> None:
    async with line(tmp_path) as (g, far, address, session):
        headers = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        if credential is not None:
            headers["Authorization"] = f"Bearer {await g.log_in() if credential == 'good' else credential}"
        if origin is not None:
            headers["Origin"] = origin
        async with session.get(address.replace("ws:", "http:"), headers=headers) as answer:
            assert answer.status == status
            assert answer.content_type == "application/problem+json"
            assert orjson.loads(await answer.read())["code"] == code
        assert far.handshakes == 0
