"""The data plane behind a real server: what is on the wire is right to the byte."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from aiohttp import web

from tests.gateway.gate import Gate, gate, replica, show, until

pytestmark = pytest.mark.row("P1")


@asynccontextmanager
async def served(g: Gate) -> AsyncIterator[int]:
    """The gateway behind uvicorn; gives the port."""
    with contextlib.closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(g.app, log_config=None, lifespan="off", http="httptools", ws="none", access_log=False)
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: server.started)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    block = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    lines = block.decode().split("\r\n")
    headers = [line.partition(": ")[::2] for line in lines[1:] if line]
    assert len({name.lower() for name, _ in headers}) == len(headers), f"a header twice: {headers}"
    return int(lines[0].split()[1]), {name.lower(): value for name, value in headers}


async def test_requests_follow_one_another_on_one_connection(tmp_path: Path) -> None:
    async with gate(tmp_path) as g, replica(web.route("*", "/{path:.*}", show)) as url, served(g) as port:
        g.route(url)
        token = await g.log_in()
        async with connected(port) as (reader, writer):
            for method in ("POST", "HEAD", "GET", "POST"):
                body = b"12345" if method == "POST" else b""
                length = f"Content-Length: {len(body)}\r\n" if body else ""
                lines = f"{method} /serve/svc-1/x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{length}\r\n"
                writer.write(lines.encode() + body)
                status, headers = await head(reader)
                assert status == 200
                if method != "HEAD":
                    content = await reader.readexactly(int(headers["content-length"]))
                    assert (b'"12345"' in content) == (method == "POST")


async def test_a_stream_without_a_length_is_chunked(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def events(incoming: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(incoming)
        await answer.write(b"data: 1\n\n")
        await go.wait()
        return answer

    async with gate(tmp_path) as g, replica(web.get("/", events)) as url, served(g) as port:
        g.route(url)
        async with connected(port) as (reader, writer):
            lines = f"GET /serve/svc-1/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {await g.log_in()}\r\n\r\n"
            writer.write(lines.encode())
            _, headers = await head(reader)
            assert headers["transfer-encoding"] == "chunked"
            assert "content-length" not in headers
            assert await reader.readexactly(14) == b"9\r\ndata: 1\n\n\r\n"
            go.set()
            assert await reader.readexactly(5) == b"0\r\n\r\n"


async def test_a_broken_answer_closes_the_connection(tmp_path: Path) -> None:
    async def half(incoming: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(incoming)
        await answer.write(b"half")
        await asyncio.sleep(0)
        assert incoming.transport is not None
        incoming.transport.abort()
        return answer

    async with gate(tmp_path) as g, replica(web.get("/", half)) as url, served(g) as port:
        g.route(url)
        async with connected(port) as (reader, writer):
            lines = f"GET /serve/svc-1/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {await g.log_in()}\r\n\r\n"
            writer.write(lines.encode())
            rest = await asyncio.wait_for(reader.read(), 60)
            assert not rest.endswith(b"0\r\n\r\n"), "a client must not take it for whole"


async def test_who_expects_to_be_refused_need_not_send_the_body(tmp_path: Path) -> None:
    async with gate(tmp_path) as g, replica(web.route("*", "/{path:.*}", show)) as url, served(g) as port:
        g.route(state="stopped")
        lines = (
            f"POST /serve/svc-1/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {await g.log_in()}\r\n"
            "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        ).encode()
        async with connected(port) as (reader, writer):
            writer.write(lines)
            assert (await head(reader))[0] == 503
        g.route(url)
        async with connected(port) as (reader, writer):
            writer.write(lines)
            assert (await head(reader))[0] == 100
            writer.write(b"body")
            assert (await head(reader))[0] == 200


async def test_smuggled_requests_do_not_reach_a_replica(tmp_path: Path) -> None:
    async with gate(tmp_path) as g, replica(web.route("*", "/{path:.*}", show)) as url, served(g) as port:
        g.route(url)
        async with connected(port) as (reader, writer):
            writer.write(
                f"POST /serve/svc-1/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {await g.log_in()}\r\n"
                "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n".encode()
            )
            status, _ = await head(reader)
            assert status == 400
