"""Load on HTTP servers: rounds that take turns between targets, from a process of its own (raw asyncio on uvloop)."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
from starlette.types import ASGIApp

from bench.house import median, row

ROUNDS = 21
"""Many short ones: a busy machine disturbs some of them, and the median lets those go."""
ROOT = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class Target:
    """Whom the load speaks to. The `body` goes there as it is; an answer has `length` bytes."""

    port: int
    path: str
    key: str
    length: int
    body: str = ""


@dataclass(frozen=True)
class Round:
    """What one round saw: requests/s, and p50 and p99 in ms."""

    rate: float
    p50: float
    p99: float


Rounds = dict[str, list[Round]]


def load(targets: dict[str, Target], connections: int, seconds: float) -> Rounds:
    """Rounds of so many seconds each, in turns."""
    job = {
        "targets": {name: asdict(target) for name, target in targets.items()},
        "connections": connections,
        "seconds": seconds,
    }
    command = [sys.executable, "-m", "bench.load", json.dumps(job)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT, env=_environment())
    return {name: [Round(**each) for each in rounds] for name, rounds in json.loads(done.stdout).items()}


def rate_row(name: str, busy: Rounds, goal: float) -> dict[str, Any]:
    """The gateway's rate of the bare proxy's. Rounds stand side by side in time: that of the median ratio counts."""
    rounds = [(g.rate, p.rate) for g, p in zip(busy["gateway"], busy["proxy"], strict=True)]
    value, limit = sorted(rounds, key=lambda pair: pair[0] / pair[1])[len(rounds) // 2]
    ratio = value / limit
    return row(name, value, "requests/s", limit, goal=f">= {goal}", met=ratio >= goal, ratio=ratio)


def latency_row(name: str, quiet: Rounds, goal: float) -> dict[str, Any]:
    """How far the gateway's median answer is above the bare proxy's; `limit` is that one's."""
    above = median(g.p50 - p.p50 for g, p in zip(quiet["gateway"], quiet["proxy"], strict=True))
    limit = median(r.p50 for r in quiet["proxy"])
    ratio = (limit + above) / limit
    return row(name, above, "ms", limit, goal=f"<= {goal} ms", met=above <= goal, ratio=ratio)


@contextmanager
def child(module: str, role: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """A child that serves; what it says at its start."""
    command = [sys.executable, "-m", module, role, *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=_environment())
    assert running.stdout is not None
    try:
        line = running.stdout.readline()
        if not line:
            raise RuntimeError(f"the {role} of the benchmark did not start")
        yield json.loads(line)
    finally:
        running.terminate()
        running.wait(20)
        running.stdout.close()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": ROOT}


# --- what the children do -------------------------------------------------------------------------------------------


def bare_proxy(upstream: int) -> ASGIApp:
    """What one would write in ten lines: no authentication, no balancing, bodies whole."""
    sessions: list[aiohttp.ClientSession] = []

    async def pass_on(request: Request) -> Response:
        if not sessions:
            sessions.append(aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)))
        url = f"http://127.0.0.1:{upstream}{request.url.path}"
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        async with sessions[0].request(request.method, url, headers=headers, data=await request.body()) as answer:
            kept = {n: v for n, v in answer.headers.items() if n.lower() not in ("date", "server", "connection")}
            return Response(await answer.read(), answer.status, kept)

    return Starlette(routes=[Routed("/{path:path}", pass_on, methods=["GET", "POST"])])


async def say_and_serve(app: ASGIApp, **said: Any) -> None:
    """Serve on a free port, and say which, with what else is to be known."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", http="httptools", ws="none")
    print(json.dumps({"port": listening.getsockname()[1], **said}), flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


class _Connection(asyncio.Protocol):
    """One connection that asks again as soon as it has its answer; the bytes of every answer are counted."""

    def __init__(self, request: bytes, length: int) -> None:
        self._request = request
        self._length = length
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
        if not found or len(body) < self._length:
            return
        if not head.startswith(b"HTTP/1.1 200") or len(body) != self._length:
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
    body = target.body.encode()
    lines = [f"{'POST' if body else 'GET'} {target.path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
    lines += [f"Authorization: Bearer {target.key}"] if target.key else []
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    loop = asyncio.get_running_loop()
    opened: list[_Connection] = []
    for _ in range(connections):
        made = loop.create_connection(lambda: _Connection(request, target.length), "127.0.0.1", target.port)
        opened.append((await made)[1])
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


if __name__ == "__main__":
    uvloop.run(_measure(json.loads(sys.argv[1])))
