"""`gateway`: a small authenticated GET through the gateway to a service in another process, and a large download.

The GET stands against the same request straight to the service and against a bare Starlette + aiohttp proxy without
authentication. The download, 1 GB that an upstream makes up in memory, stands against nginx as it passes on the same.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import uvloop
from starlette.types import Receive, Scope, Send

from bench.house import median, row
from bench.load import Rounds, Target, bare_proxy, child, latency_row, load, rate_row, say_and_serve
from tests.servers.packages import ensure
from tests.servers.ports import quiet_port

NAME = "gateway"

ROUND_SECONDS = 0.3
QUIET_SECONDS = 0.2
CONNECTIONS = 16
GOAL_RATE = 0.8
GOAL_ABOVE_MS = 0.3

BYTES = 1 << 30
CHUNK = bytes(range(256)) * 4096
DOWNLOADS = 5
GOAL_DOWNLOAD = 0.6

NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error;
events {{ worker_connections 64; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; proxy_max_temp_file_size 0; }}
  }}
}}
"""


def run() -> list[dict[str, Any]]:
    """Measure, and give the rows of the table."""
    with tempfile.TemporaryDirectory(prefix="yard-bench-") as folder, ExitStack() as stack:
        source = stack.enter_context(child("bench.gateway", "source"))["port"]
        service = stack.enter_context(child("bench.gateway", "service", folder))
        proxy = stack.enter_context(child("bench.gateway", "proxy", str(service["port"])))["port"]
        ports = (str(service["port"]), str(source))
        gateway = stack.enter_context(child("bench.gateway", "gateway", folder, *ports))
        nginx = stack.enter_context(nginx_with(NGINX, upstream=source))
        path, token = service["path"], service["token"]
        length = len(_got(service["port"], path, token))
        targets = {
            "direct": Target(service["port"], path, token, length),
            "proxy": Target(proxy, path, token, length),
            "gateway": Target(gateway["port"], path, gateway["key"], length),
        }
        busy = load(targets, CONNECTIONS, ROUND_SECONDS)
        quiet = load(targets, 1, QUIET_SECONDS)
        rates = _downloads({"gateway": (gateway["port"], gateway["key"]), "nginx": (nginx, "")})
    return [
        rate_row(f"gateway: GET, {CONNECTIONS} connections, of the bare proxy's", busy, GOAL_RATE),
        latency_row("gateway: GET, p50 above the bare proxy's, 1 connection", quiet, GOAL_ABOVE_MS),
        _report(busy),
        _download_row(rates),
    ]


def _report(busy: Rounds) -> dict[str, Any]:
    ours, direct = (median(r.rate for r in busy[name]) for name in ("gateway", "direct"))
    return row("gateway: GET, rate, of the service alone", ours, "requests/s", direct, goal="reported", met=True)


def _download_row(rates: dict[str, list[float]]) -> dict[str, Any]:
    pairs = sorted(zip(rates["gateway"], rates["nginx"], strict=True), key=lambda pair: pair[0] / pair[1])
    ours, nginx = pairs[len(pairs) // 2]
    goal = f">= {GOAL_DOWNLOAD} of nginx"
    return row("gateway: download of 1 GB", ours, "MB/s", nginx, goal=goal, met=ours >= GOAL_DOWNLOAD * nginx)


def _got(port: int, path: str, token: str) -> bytes:
    request = Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


def _downloads(ports: dict[str, tuple[int, str]]) -> dict[str, list[float]]:
    """MB/s of whole downloads, in turns."""
    rates: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(DOWNLOADS):
        for name, (port, key) in ports.items():
            began = time.perf_counter()
            _drain(port, key)
            rates[name].append(BYTES / 1e6 / (time.perf_counter() - began))
    return rates


def _drain(port: int, key: str) -> None:
    """Read an answer to its end and throw it away, as fast as a socket gives it."""
    ask = f"GET /api/v1/models/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    room, received, head = bytearray(1 << 20), 0, b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(ask.encode())
        while b"\r\n\r\n" not in head:
            head += connection.recv(1 << 16)
        status, _, rest = head.partition(b"\r\n\r\n")
        assert status.startswith(b"HTTP/1.1 200"), status
        received = len(rest)
        while got := connection.recv_into(room):
            received += got
    assert received == BYTES, received


@contextmanager
def nginx_with(configuration: str, **values: object) -> Iterator[int]:
    """An nginx of our own with this configuration, in which `folder`, `port` and `values` are put; gives its port."""
    program = ensure("nginx-light", lambda: Path(found) if (found := shutil.which("nginx")) else None)
    folder, port = Path(tempfile.mkdtemp(prefix="yard-bench-nginx-")), quiet_port()
    (folder / "conf").write_text(configuration.format(folder=folder, port=port, **values))
    running = subprocess.Popen([program, "-e", "stderr", "-p", str(folder), "-c", str(folder / "conf")])
    try:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert running.poll() is None, "nginx did not start"
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)
        yield port
    finally:
        running.terminate()
        running.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


# --- what the children do -------------------------------------------------------------------------------------------


async def _source(scope: Scope, receive: Receive, send: Send) -> None:
    """An upstream that has the large file."""
    await receive()
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(BYTES).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for sent in range(0, BYTES, len(CHUNK)):
        more = sent + len(CHUNK) < BYTES
        await send({"type": "http.response.body", "body": CHUNK, "more_body": more})


async def _serve_service(home: Path) -> None:
    """notebook-svc with one environment, which is what is asked for."""
    import httpx2

    from common.service import run as run_services
    from common.telemetry import logs, traces
    from common.web.identity import Principal
    from embedded.platform import open_platform
    from embedded.settings import Settings
    from notebook_svc.service import build

    logs.set_up("WARNING")
    traces.set_up("bench")
    async with open_platform(Settings(home=home), {}) as platform:
        service = build(platform)
        async with run_services(platform, [service]):
            token = platform.signer_of("gateway").sign(Principal("user-1", "admin", "bench"), 3600)
            transport = httpx2.ASGITransport(app=service.app)
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx2.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client:
                body = {"name": "bench", "framework": "pytorch", "framework_version": "2.9"}
                made = (await client.post("/api/v1/environments", json=body)).raise_for_status().json()
            await say_and_serve(service.app, path=f"/api/v1/environments/{made['id']}", token=token)


async def _serve_gateway(home: Path, service: int, source: int) -> None:
    from common.service import run as run_services
    from common.telemetry import logs, traces
    from common.web.identity import Principal
    from embedded.platform import open_platform
    from embedded.settings import Settings as Embedded
    from gateway.domain.api_key import new_secret
    from gateway.service import build
    from gateway.settings import Settings
    from gateway.storage import users
    from gateway.upstreams import Remote
    from gateway.usecases.keys import add_key

    logs.set_up("WARNING")
    traces.set_up("bench")
    upstreams = {
        "notebook-svc": Remote(f"http://127.0.0.1:{service}"),
        "train-svc": Remote(f"http://127.0.0.1:{source}"),
    }
    async with open_platform(Embedded(home=home), {}) as platform:
        gateway = build(platform, Settings(), upstreams)
        async with run_services(platform, [gateway]):
            context = gateway.app.state.context
            async with context.kit.store.work() as uow:
                admin = (await users.where(uow.connection))[0]
                secret = new_secret()
                await add_key(context, uow, Principal(admin.id, "admin", admin.name), "bench", None, secret)
            await say_and_serve(gateway.app, key=secret)


def _main(role: str, *arguments: str) -> None:
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "source": lambda: say_and_serve(_source),
        "service": lambda: _serve_service(Path(arguments[0])),
        "proxy": lambda: say_and_serve(bare_proxy(int(arguments[0]))),
        "gateway": lambda: _serve_gateway(Path(arguments[0]), int(arguments[1]), int(arguments[2])),
    }

    async def work_on() -> None:
        await work[role]()

    uvloop.run(work_on())


if __name__ == "__main__":
    _main(*sys.argv[1:])
