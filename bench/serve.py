"""`serve`: a prediction-sized echo through `/serve/…` with an API key, against a bare proxy and the bare replica.

Five processes: the replica (bare uvicorn), a bare Starlette + aiohttp proxy without authentication, the gateway (alone,
embedded, on a temporary home), this one, and the load (raw asyncio, in rounds that take turns between the three).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from starlette.types import Receive, Scope, Send

from bench.house import median, row
from bench.load import Rounds, Target, bare_proxy, child, latency_row, load, rate_row, say_and_serve

NAME = "serve"

SERVICE = "svc-00000000000000000000000000"
BODY = json.dumps({"inputs": [{"name": "pixels", "data": [i % 17 for i in range(256)]}]})
"""A prediction-sized question: about 1 KiB of JSON."""
ROUND_SECONDS = 0.3
QUIET_SECONDS = 0.2
CONNECTIONS = 16
GOAL_RATE = 0.8
GOAL_ABOVE_MS = 0.3


def run() -> list[dict[str, Any]]:
    """Measure, and give the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="yard-bench-") as folder, ExitStack() as stack:
        replica = stack.enter_context(child("bench.serve", "replica"))["port"]
        proxy = stack.enter_context(child("bench.serve", "proxy", str(replica)))["port"]
        gateway = stack.enter_context(child("bench.serve", "gateway", str(replica), folder))
        targets = {
            "direct": Target(replica, "/", "", len(BODY), BODY),
            "proxy": Target(proxy, "/", "", len(BODY), BODY),
            "gateway": Target(gateway["port"], f"/serve/{SERVICE}/", gateway["key"], len(BODY), BODY),
        }
        busy = load(targets, CONNECTIONS, ROUND_SECONDS)
        quiet = load(targets, 1, QUIET_SECONDS)
    return [
        rate_row(f"serve: rate, {CONNECTIONS} connections, of the bare proxy's", busy, GOAL_RATE),
        latency_row("serve: p50 above the bare proxy's, 1 connection", quiet, GOAL_ABOVE_MS),
        *_reports(busy, quiet),
    ]


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
            await say_and_serve(service.app, key=secret)


def _main(role: str, *arguments: str) -> None:
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "replica": lambda: say_and_serve(_echo),
        "proxy": lambda: say_and_serve(bare_proxy(int(arguments[0]))),
        "gateway": lambda: _serve_gateway(int(arguments[0]), Path(arguments[1])),
    }

    async def work_on() -> None:
        await work[role]()

    uvloop.run(work_on())


if __name__ == "__main__":
    _main(*sys.argv[1:])
