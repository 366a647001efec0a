"""`serve`: a prediction-sized echo through `/serve/…` with an API key, against a bare proxy and the bare replica.

Five processes: the replica (bare uvicorn), a bare Starlette + aiohttp proxy without authentication, the gateway (alone,
embedded, on a temporary home), this one, and the load (raw asyncio, in rounds that take turns between the three).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import aiohttp
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Routed
from starlette.types import ASGIApp, Receive, Scope, Send

from bench.house import median, row

NAME = "serve"

SERVICE = "svc-00000000000000000000000000"
BODY = json.dumps({"inputs": [{"name": "pixels", "data": [i % 17 for i in range(256)]}]}).encode()
"""A prediction-sized question: about 1 KiB of JSON."""
ROUNDS = 21
"""Many short ones: a busy machine disturbs some of them, and the median lets those go."""
ROUND_SECONDS = 0.3
QUIET_SECONDS = 0.2
CONNECTIONS = 16
GOAL_RATE = 0.8
GOAL_ABOVE_MS = 0.3


def run() -> list[dict[str, Any]]:
    """Measure, and give the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="yard-bench-") as folder, ExitStack() as stack:
        replica = stack.enter_context(_server("replica"))["port"]
        proxy = stack.enter_context(_server("proxy", str(replica)))["port"]
        gateway = stack.enter_context(_server("gateway", str(replica), folder))
        targets = {
            "direct": Target(replica, "/", ""),
            "proxy": Target(proxy, "/", ""),
            "gateway": Target(gateway["port"], f"/serve/{SERVICE}/", gateway["key"]),
        }
        busy = _load(targets, CONNECTIONS, ROUND_SECONDS)
        quiet = _load(targets, 1, QUIET_SECONDS)
    return [_rate_row(busy), _latency_row(quiet), *_reports(busy, quiet)]


@dataclass(frozen=True)
class Target:
    """Whom the load speaks to."""

    port: int
    path: str
    key: str


@dataclass(frozen=True)
class Round:
    """What one round saw: requests/s, and p50 and p99 in ms."""

    rate: float
    p50: float
    p99: float


Rounds = dict[str, list[Round]]


def _rate_row(busy: Rounds) -> dict[str, Any]:
    """Rounds stand side by side in time: of all, the one with the median ratio counts."""
    rounds = [(g.rate, p.rate) for g, p in zip(busy["gateway"], busy["proxy"], strict=True)]
    value, limit = sorted(rounds, key=lambda pair: pair[0] / pair[1])[len(rounds) // 2]
    ratio = value / limit
    name = f"serve: rate, {CONNECTIONS} connections, of the bare proxy's"
    return row(name, value, "requests/s", limit, goal=f">= {GOAL_RATE}", met=ratio >= GOAL_RATE, ratio=ratio)


def _latency_row(quiet: Rounds) -> dict[str, Any]:
    """How far the median question is above the bare proxy's; `limit` is that one's."""
    above = median(g.p50 - p.p50 for g, p in zip(quiet["gateway"], quiet["proxy"], strict=True))
    limit = median(r.p50 for r in quiet["proxy"])
    name = "serve: p50 above the bare proxy's, 1 connection"
    ratio = (limit + above) / limit
    return row(name, above, "ms", limit, goal=f"<= {GOAL_ABOVE_MS} ms", met=above <= GOAL_ABOVE_MS, ratio=ratio)


def _reports(busy: Rounds, quiet: Rounds) -> list[dict[str, Any]]:
    """What has no goal of its own: how far it all is from the bare replica."""
    gateway, direct = (median(r.rate for r in busy[name]) for name in ("gateway", "direct"))
    p50, bare = (median(r.p50 for r in quiet[name]) for name in ("gateway", "direct"))
    p99, peer = (median(r.p99 for r in busy[name]) for name in ("gateway", "proxy"))
    return [
        row("serve: rate, of the bare replica's", gateway, "requests/s", direct, goal="reported", met=True),
        row("serve: p50, 1 connection, of the bare replica's", p50, "ms", bare, goal="reported", met=True),
        row(f"serve: p99, {CONNECTIONS} connections, of the bare proxy's", p99, "ms", peer, goal="reported", met=True),
    ]


@contextmanager
def _server(role: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """A child that serves; what it says at its start."""
    root = str(Path(__file__).parents[1])
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.serve", role, *arguments],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert child.stdout is not None
    try:
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"the {role} of the benchmark did not start")
        yield json.loads(line)
    finally:
        child.terminate()
        child.wait(20)
        child.stdout.close()


def _load(targets: dict[str, Target], connections: int, seconds: float) -> Rounds:
    root = str(Path(__file__).parents[1])
    job = {
        "targets": {name: asdict(target) for name, target in targets.items()},
        "connections": connections,
        "seconds": seconds,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.serve", "load", json.dumps(job)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )
    return {name: [Round(**each) for each in rounds] for name, rounds in json.loads(done.stdout).items()}


# --- what the children do -------------------------------------------------------------------------------------------


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The replica: answers what it was sent."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _bare_proxy(replica: int) -> ASGIApp:
    """What one would write in ten lines: no authentication, no balancing, bodies whole."""
    sessions: list[aiohttp.ClientSession] = []

    async def pass_on(request: Request) -> Response:
        if not sessions:
            sessions.append(aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)))
        url = f"http://127.0.0.1:{replica}{request.url.path}"
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        async with sessions[0].request(request.method, url, headers=headers, data=await request.body()) as answer:
            kept = {n: v for n, v in answer.headers.items() if n.lower() not in ("date", "server", "connection")}
            return Response(await answer.read(), answer.status, kept)

    return Starlette(routes=[Routed("/{path:path}", pass_on, methods=["GET", "POST"])])


async def _serve(app: ASGIApp, **said: Any) -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", http="httptools", ws="none")
    print(json.dumps({"port": listening.getsockname()[1], **said}), flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


async def _serve_gateway(replica: int, home: Path) -> None:
    from common.contracts.service import Endpoint
    from common.contracts.shared import Visibility
    from common.ports.routes import Route
    from common.service import run as run_services
    from common.telemetry import logs, traces
    from common.web.identity import Principal
    from embedded.platform import open_platform
    from embedded.settings import Settings as Embedded
    from gateway.domain.api_key import new_secret
    from gateway.service import build
    from gateway.settings import Settings
    from gateway.storage import users
    from gateway.usecases.keys import add_key

    logs.set_up("WARNING")
    traces.set_up("bench")
    async with open_platform(Embedded(home=home), {}) as platform:
        service = build(platform, Settings(), {})
        async with run_services(platform, [service]):
            context = service.app.state.context
            async with context.kit.store.work() as uow:
                admin = (await users.where(uow.connection))[0]
                secret = new_secret()
                await add_key(context, uow, Principal(admin.id, "admin", admin.name), "bench", None, secret)
            endpoint = Endpoint(replica="rep-1", url=f"http://127.0.0.1:{replica}")
            context.routes.set(Route(SERVICE, admin.id, Visibility.PRIVATE, "running", (endpoint,)))
            await _serve(service.app, key=secret)


class _Connection(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer; the bytes of every answer are counted."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._asked = 0.0
        self.latencies: list[float] = []
        self.failed: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._ask()

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < len(BODY):
            return
        if not head.startswith(b"HTTP/1.1 200") or body != BODY:
            self.failed = repr(self._buffer[:300])
            return
        self._buffer = b""
        self.latencies.append(time.perf_counter() - self._asked)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def close(self) -> None:
        """No more questions."""
        if self._transport is not None:
            self._transport.abort()


async def _round(target: Target, connections: int, seconds: float) -> Round:
    lines = [f"POST {target.path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", "Accept: */*"]
    lines += [f"Content-Length: {len(BODY)}"] + ([f"Authorization: Bearer {target.key}"] if target.key else [])
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + BODY
    loop = asyncio.get_running_loop()
    opened: list[_Connection] = []
    for _ in range(connections):
        _, connection = await loop.create_connection(lambda: _Connection(request), "127.0.0.1", target.port)
        opened.append(connection)
    await asyncio.sleep(0.05)
    for connection in opened:
        connection.latencies.clear()
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    if failed := next((c.failed for c in opened if c.failed), None):
        raise RuntimeError(f"a request of the benchmark failed: {failed}")
    latencies = sorted(latency for connection in opened for latency in connection.latencies)
    for connection in opened:
        connection.close()
    return Round(len(latencies) / took, _at(latencies, 0.5), _at(latencies, 0.99))


def _at(ordered: Sequence[float], part: float) -> float:
    return ordered[int(len(ordered) * part)] * 1000


async def _measure(job: dict[str, Any]) -> None:
    rounds: dict[str, list[Round]] = {name: [] for name in job["targets"]}
    for number in range(ROUNDS):
        for name, target in sorted(job["targets"].items(), reverse=number % 2 == 1):  # nobody is always first
            rounds[name].append(await _round(Target(**target), job["connections"], job["seconds"]))
    print(json.dumps({name: [asdict(each) for each in done] for name, done in rounds.items()}))


def _main(role: str, *arguments: str) -> None:
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "replica": lambda: _serve(_echo),
        "proxy": lambda: _serve(_bare_proxy(int(arguments[0]))),
        "gateway": lambda: _serve_gateway(int(arguments[0]), Path(arguments[1])),
        "load": lambda: _measure(json.loads(arguments[0])),
    }

    async def work_on() -> None:
        await work[role]()

    uvloop.run(work_on())


if __name__ == "__main__":
    _main(*sys.argv[1:])
