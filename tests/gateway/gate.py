"""A gateway on a temporary home, with stub services behind it, and an ASGI client that sees every message."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import orjson
from aiohttp import web
from starlette.types import ASGIApp, Message

from common.contracts.service import Endpoint
from common.contracts.shared import Visibility
from common.kernel.events import CloudEvent, EventData
from common.ports.routes import Route
from common.service import Service
from gateway.context import Context
from gateway.service import build
from gateway.settings import Settings
from gateway.upstreams import Upstream
from tests.support.platform import running

ADMIN_PASSWORD = "a password for the tests"
SERVICE = "svc-1"

Headers = Mapping[str, str]


@dataclass
class Gate:
    """The running gateway."""

    service: Service
    home: Path
    _clients: list[httpx2.AsyncClient] = field(default_factory=list)

    @property
    def app(self) -> ASGIApp:
        return self.service.app

    @property
    def context(self) -> Context:
        found: Context = self.service.app.state.context
        return found

    def client(self, credential: str | None = None, **headers: str) -> httpx2.AsyncClient:
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        client = httpx2.AsyncClient(transport=transport, base_url="http://gate/api/v1", headers=headers)
        self._clients.append(client)
        return client

    async def log_in(self, name: str = "admin", password: str = ADMIN_PASSWORD) -> str:
        answer = await self.client().post("/login", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["token"])

    async def user(self, name: str, role: str = "user") -> tuple[str, str]:
        """A new user: the id and a login token."""
        admin = self.client(await self.log_in())
        made = await admin.post("/users", json={"name": name, "password": f"password of {name}", "role": role})
        assert made.status_code == 201, made.text
        return made.json()["id"], await self.log_in(name, f"password of {name}")

    async def key(self, token: str, **body: Any) -> dict[str, Any]:
        made = await self.client(token).post("/api-keys", json={"name": "a key", **body})
        assert made.status_code == 201, made.text
        found: dict[str, Any] = made.json()
        return found

    async def emit(self, data: EventData, subject: str, owner: str | None = None) -> CloudEvent:
        """Tell the bus, as any service would."""
        async with self.context.kit.store.work() as uow:
            uow.emit(data, subject=subject, owner=owner)
        return uow.events[0]

    def route(self, *urls: str, owner: str = "nobody", visibility: Visibility = Visibility.PUBLIC, **more: Any) -> None:
        """Say what stands behind `/serve/svc-1/`."""
        endpoints = tuple(Endpoint(replica=f"rep-{n}", url=url) for n, url in enumerate(urls))
        self.context.routes.set(Route(SERVICE, owner, visibility, more.get("state", "running"), endpoints))

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


@asynccontextmanager
async def gate(
    home: Path, upstreams: Mapping[str, Upstream] | None = None, *, clock: Any = None, **settings: Any
) -> AsyncIterator[Gate]:
    """Run the gateway; `settings` are the gateway's own."""
    chosen = Settings(**{"admin_password": ADMIN_PASSWORD, "password_memory": 64, "password_rounds": 1, **settings})
    overrides = {"clock": clock} if clock is not None else {}
    async with running(home, [lambda platform: build(platform, chosen, upstreams or {})], **overrides) as house:
        opened = Gate(house.service("gateway"), home)
        try:
            yield opened
        finally:
            await opened.close()


async def until(reached: Callable[[], bool], seconds: float = 180.0) -> None:
    """Wait for something that other tasks do."""
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.002)


class Call:
    """One connection to an ASGI app, message by message."""

    def __init__(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        self._outgoing: asyncio.Queue[Message | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run(app, scope))
        self.taken = 0

    async def _run(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        async def receive() -> Message:
            message = await self._incoming.get()
            self.taken += 1
            return message

        async def send(message: Message) -> None:
            await self._outgoing.put(message)

        try:
            await app(scope, receive, send)
        finally:
            self._outgoing.put_nowait(None)

    def feed(self, message: Message) -> None:
        self._incoming.put_nowait(message)

    def body(self, body: bytes = b"", more: bool = False) -> None:
        self.feed({"type": "http.request", "body": body, "more_body": more})

    def disconnect(self) -> None:
        self.feed({"type": "http.disconnect"})

    async def next(self, seconds: float = 180.0) -> Message | None:
        """The next message of the app; None where it has returned."""
        return await asyncio.wait_for(self._outgoing.get(), seconds)

    async def chunk(self) -> bytes:
        message = await self.next()
        assert message is not None, "the app is done"
        assert message["type"] == "http.response.body", message
        return bytes(message.get("body", b""))

    async def done(self, seconds: float = 180.0) -> None:
        await asyncio.wait_for(asyncio.shield(self._task), seconds)

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@dataclass(frozen=True)
class Answer:
    """A whole answer. `complete` False where the app broke off."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    complete: bool

    def header(self, name: str) -> str | None:
        found = [v.decode() for n, v in self.headers if n == name.encode()]
        assert len(found) < 2, f"{name} is there {len(found)} times"
        return found[0] if found else None

    def json(self) -> Any:
        return orjson.loads(self.body)


def http_scope(method: str, path: str, headers: Headers | Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    raw, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw,
        "raw_path": raw.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"gate"), *((n.lower().encode(), v.encode()) for n, v in pairs)],
        "client": ("127.0.0.1", 5),
        "server": ("gate", 80),
    }


def open_call(app: ASGIApp, method: str, path: str, credential: str | None = None, **headers: str) -> Call:
    """A connection whose body is fed by hand."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if credential is not None:
        given["authorization"] = f"Bearer {credential}"
    return Call(app, http_scope(method, path, given))


async def whole(call: Call) -> Answer:
    """The answer until the app returns."""
    start, body, complete = await call.next(), b"", False
    assert start is not None, "no answer at all"
    assert start["type"] == "http.response.start"
    while (message := await call.next()) is not None:
        body += message.get("body", b"")
        complete = not message.get("more_body", False)
    await call.done()
    return Answer(start["status"], list(start["headers"]), body, complete)


async def request(
    app: ASGIApp, method: str, path: str, credential: str | None = None, body: bytes = b"", **headers: str
) -> Answer:
    call = open_call(app, method, path, credential, **headers)
    call.body(body)
    return await whole(call)


@asynccontextmanager
async def replica(*routes: web.RouteDef) -> AsyncIterator[str]:
    """A server on a port of its own; gives its address."""
    app = web.Application(client_max_size=1 << 30)
    app.add_routes(routes)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name if not site.name.endswith(":0") else _address(runner)
    finally:
        await runner.cleanup()


def _address(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


async def show(incoming: web.Request) -> web.Response:
    """What reached the replica."""
    told = {
        "method": incoming.method,
        "path": incoming.raw_path,
        "headers": [[name.lower(), value] for name, value in incoming.headers.items()],
        "body": (await incoming.read()).decode("latin-1"),
    }
    return web.json_response(told)
