"""`stalls`: small questions one after another on every hop, each in two writes, and how many took 30 ms or longer.

Where one end gathers small writes until they are acknowledged (Nagle, RFC 896) and the other puts acknowledgements off
(RFC 1122 §4.2.3.2), each small message stands still for 40 ms. A busy machine makes single requests slow too: so the
same questions to a bare echo that never gathers take turns with them, and stand beside them as the limit.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.house import median, row
from bench.load import child, say_and_serve
from bench.serve import SERVICE
from common.db.database import Database
from common.hosting.platform import Clients
from tests.servers.postgres import Postgres

NAME = "stalls"

ASKED = 200
STALL_MS = 30.0
MOST = 0.05
"""Where gathering stalls a hop it stalls nearly every request: what is below this part is the machine's business."""

HALF = b'{"inputs": [1, 2, 3],'
REST = b' "name": "small"}'

Ask = Callable[[], None]


def run() -> list[dict[str, Any]]:
    """Ask on every hop in turns; a row a hop."""
    with tempfile.TemporaryDirectory(prefix="yard-bench-") as folder, ExitStack() as stack:
        control = stack.enter_context(child("bench.stalls", "control"))["port"]
        replica = stack.enter_context(child("bench.stalls", "replica"))["port"]
        service = stack.enter_context(child("bench.stalls", "service"))["port"]
        homes = [Path(folder) / name for name in ("serving", "routing")]
        serving = stack.enter_context(child("bench.serve", "gateway", str(replica), str(homes[0])))
        routing = stack.enter_context(child("bench.gateway", "gateway", str(homes[1]), str(service), str(service)))
        hops = {
            "client to service": _http(service, "/"),
            "client to gateway to service": _http(routing["port"], "/api/v1/models/any/share", routing["key"]),
            "client to gateway to preset's replica": _http(serving["port"], f"/serve/{SERVICE}/", serving["key"]),
            "service to service": stack.enter_context(_calls(service)),
            "service to PostgreSQL": stack.enter_context(_statements()),
        }
        bare = _http(control, "/")
        took = {name: _in_turns(ask, bare) for name, ask in hops.items()}
    return [_row(name, ours, limit) for name, (ours, limit) in took.items()]


def _row(name: str, ours: list[float], bare: list[float]) -> dict[str, Any]:
    stalled, beside = (sum(one >= STALL_MS for one in some) for some in (ours, bare))
    unit = f"of {ASKED} took {STALL_MS:.0f} ms, p50 {median(ours):.2f} ms"
    goal, met = f"<= {MOST:.0%} above the bare echo's", stalled <= beside + MOST * ASKED
    return row(f"stalls: {name}", stalled, unit, beside, goal=goal, met=met, ratio=stalled / max(beside, 1))


def _in_turns(ask: Ask, bare: Ask) -> tuple[list[float], list[float]]:
    """Milliseconds of each question, and of the same to the bare echo beside it."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(ASKED):
        for one, kept in zip((ask, bare), took, strict=True):
            began = time.perf_counter()
            one()
            kept.append((time.perf_counter() - began) * 1000)
    return took


def _http(port: int, path: str, key: str = "") -> Ask:
    """A POST whose body comes in two writes, on a connection that is kept."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(HALF + REST)}", *([f"Authorization: Bearer {key}"] if key else [])]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    connection = _connected(port)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask() -> None:
        connection.sendall(head + HALF)
        connection.sendall(REST)
        answer = b""
        while not answer.endswith(HALF + REST):
            got = connection.recv(65536)
            if not got or (answer and not answer.startswith(b"HTTP/1.1 200")):
                raise RuntimeError(f"a request of the benchmark failed: {answer + got!r}")
            answer += got

    return ask


def _connected(port: int) -> socket.socket:
    """A child says its port a moment before it listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@contextmanager
def _calls(port: int) -> Iterator[Ask]:
    """As services ask one another."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        address = type("Address", (), {"address_of": lambda *_: f"http://127.0.0.1:{port}"})
        clients = Clients(address())
        client = clients["any-svc"]

        def ask() -> None:
            runner.run(client.post("/", content=_halves())).raise_for_status()

        yield ask
        runner.run(clients.close())


async def _halves() -> Any:
    yield HALF
    yield REST


@contextmanager
def _statements() -> Iterator[Ask]:
    """As services ask their database: a transaction of two small statements."""
    postgres = Postgres(durable=False)
    try:
        postgres.start()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            database = Database(postgres.url("postgres"))

            async def transaction() -> None:
                async with database.writing() as connection:
                    for n in range(2):
                        await connection.execute(text("SELECT :n + 1"), {"n": n})

            yield lambda: runner.run(transaction())
            runner.run(database.close())
    finally:
        postgres.close()


# --- what the children do -------------------------------------------------------------------------------------------


async def _echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


async def _control() -> None:
    """The bare echo: one write an answer, and never gathered."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            body = await reader.readexactly(len(HALF + REST))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


def _replica(port: int) -> None:
    """What presets serve with: their own listener and, where their engine has none, no uvloop."""
    import uvicorn

    from algo_svc import presets

    sys.path.insert(0, str(presets.HERE / presets.SHARED))
    from yardkit import serving

    listening = serving._listen("127.0.0.1", str(port))
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    app = Starlette(routes=[Route("/", _echo, methods=["POST"])])
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", loop="asyncio")
    uvicorn.Server(config).run(sockets=[listening])


def _main(role: str) -> None:
    if role == "replica":
        _replica(0)
        return
    app = Starlette(routes=[Route("/{path:path}", _echo, methods=["POST"])])
    work: dict[str, Callable[[], Awaitable[None]]] = {"control": _control, "service": lambda: say_and_serve(app)}

    async def work_on() -> None:
        await work[role]()

    uvloop.run(work_on())


if __name__ == "__main__":
    _main(*sys.argv[1:])
