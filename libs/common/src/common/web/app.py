"""The app every service builds on: problems, identity, a span and a log line for each request."""

from __future__ import annotations

import time

import structlog
from fastapi import APIRouter, FastAPI
from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.telemetry import figures
from common.telemetry.traces import context_from, span
from common.web import problems
from common.web.identity import KeyRing

NO_ROUTE = "none"
"""Whatever was asked for that there is not: an asker may not make up labels of figures."""

log = structlog.get_logger("http")


class Tracing:
    """A server span for each request, child of the caller's (W3C traceparent), and one log line at its end."""

    def __init__(self, app: ASGIApp, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"] if k == b"traceparent"}
        started = time.perf_counter()
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                route = getattr(scope.get("route"), "path", NO_ROUTE)
                figures.requested(self._service, scope["method"], route, status, time.perf_counter() - started)
            await send(message)

        name = f"{self._service} {scope['method']}"
        with span(name, kind=SpanKind.SERVER, parent=context_from(headers)) as current:
            current.set_attribute("url.path", scope["path"])
            await self._app(scope, receive, note)
            current.set_attribute("http.response.status_code", status)
            took = round((time.perf_counter() - started) * 1000, 1)
            log.debug(
                "request", service=self._service, method=scope["method"], path=scope["path"], status=status, ms=took
            )


def create_app(service: str, title: str, keyring: KeyRing, *routers: APIRouter) -> FastAPI:
    """A FastAPI app with everything that all services share; `routers` go under `/api/v1`."""
    app = FastAPI(
        title=title,
        version="1",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # `Tracing` makes the one span of a request
    )
    app.state.keyring = keyring
    problems.install(app)
    for router in routers:
        app.include_router(router, prefix="/api/v1")
    app.add_middleware(Tracing, service=service)
    return app
