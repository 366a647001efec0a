"""The front of everything: an ASGI app that says who asks and passes each request to its owner.

No framework stands in the way: the data plane and the services' streams go straight through.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI
from opentelemetry.trace import Span, SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.kernel.errors import BadRequest, NotFound, Problem, Unavailable
from common.telemetry import figures
from common.telemetry.traces import context_from, span
from common.web.problems import answer_problem, as_problem
from gateway.dataplane.serve import PREFIX, DataPlane
from gateway.domain.paths import is_safe
from gateway.domain.routing import GATEWAY, OPEN, OWNERS, collection_of
from gateway.identity.authenticator import Authenticator
from gateway.proxy import websocket
from gateway.proxy.headers import Headers, header, passed_on
from gateway.tracing import Trace, exports, trace_of
from gateway.upstreams import Upstream

log = structlog.get_logger("gateway")


class Front:
    """Routes by path: `/serve/…` to the data plane, `/api/v1/<collection>` to its owner, the rest to `own`."""

    def __init__(
        self, own: ASGIApp, upstreams: Mapping[str, Upstream], authenticator: Authenticator, data_plane: DataPlane
    ) -> None:
        self._own = own
        self._upstreams = upstreams
        self._authenticator = authenticator
        self._data_plane = data_plane
        self._traces_serving = exports()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        serving = scope["path"].startswith(PREFIX)
        if scope["type"] == "websocket":
            if serving:
                await self._data_plane.socket(scope, receive, send)
            else:
                await receive()
                await websocket.refuse(scope, send, _nothing_at(scope["path"]))
        elif serving and not self._traces_serving:
            await self._data_plane.http(scope, receive, send)
        else:
            await self._traced(scope, receive, send, serving)

    async def _traced(self, scope: Scope, receive: Receive, send: Send, serving: bool) -> None:
        given = header(scope["headers"], b"traceparent")
        parent = context_from({"traceparent": given.decode("latin-1")} if given else {})
        with span(f"gateway {scope['method']}", kind=SpanKind.SERVER, parent=parent) as current:
            current.set_attribute("url.path", scope["path"])
            trace = _trace_in(current) or trace_of(scope)
            if serving:
                others = [pair for pair in scope["headers"] if pair[0] != b"traceparent"]
                scope = {**scope, "headers": [*others, (b"traceparent", trace.parent)]}
                await self._data_plane.http(scope, receive, send)
            else:
                await self._api(scope, receive, _Answering(scope, send, trace, current), trace)

    async def _api(self, scope: Scope, receive: Receive, send: _Answering, trace: Trace) -> None:
        try:
            app, headers = await self._who_serves(scope)
            headers.append((b"traceparent", trace.parent))
            send.counts = app is not self._own  # which counts by itself
            await app({**scope, "headers": headers}, receive, send)
        except Exception as error:
            if send.whole:  # told already, and logged by whoever told it
                return
            problem = as_problem(error)
            if send.started:
                raise
            await answer_problem(send, problem)

    async def _who_serves(self, scope: Scope) -> tuple[ASGIApp, Headers]:
        """The app that the request is for, and the headers it gets. Raises the problem that the caller is told."""
        path: str = scope["path"]
        if not is_safe(scope.get("raw_path") or path.encode()):
            raise BadRequest("bad_path", "A path has no `..`, no `//` and no encoded separators.")
        headers = passed_on(scope["headers"])
        collection = collection_of(path)
        if collection is None or collection in OPEN:
            return self._own, headers
        owner = OWNERS.get(collection)
        if owner is None:
            raise _nothing_at(path)
        verified = await self._authenticator.authenticate(header(scope["headers"], b"authorization"))
        headers.append((b"authorization", self._authenticator.internal(verified.principal)))
        if owner == GATEWAY:
            return self._own, headers
        upstream = self._upstreams.get(owner)
        if upstream is None:
            raise Unavailable("service_unavailable", f"{owner} is not part of this installation.")
        return upstream, headers


class _Answering:
    """An answer on its way out: adds what all answers carry, and knows how far it got."""

    def __init__(self, scope: Scope, send: Send, trace: Trace, current: Span) -> None:
        self._scope = scope
        self._send = send
        self._trace = trace
        self._span = current
        self.started = False
        self.whole = False
        self.counts = False
        self._began = time.perf_counter()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            if self.counts:
                self._count(message["status"])
            self._span.set_attribute("http.response.status_code", message["status"])
            extra = [(b"x-trace-id", self._trace.id), (b"x-content-type-options", b"nosniff")]
            kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-content-type-options"]
            message = {**message, "headers": [*kept, *extra]}
        elif not message.get("more_body", False):
            self.whole = True
        await self._send(message)

    def _count(self, status: int) -> None:
        """Passed on to a service, which knows its routes: here it counts by collection."""
        seconds = time.perf_counter() - self._began
        figures.requested(GATEWAY, self._scope["method"], f"/{collection_of(self._scope['path'])}", status, seconds)


def _trace_in(current: Span) -> Trace | None:
    """The present trace; None where no tracing is set up."""
    at = current.get_span_context()
    if not at.is_valid:
        return None
    trace_id = f"{at.trace_id:032x}"
    return Trace(trace_id.encode(), f"00-{trace_id}-{at.span_id:016x}-{int(at.trace_flags):02x}".encode())


def _nothing_at(path: str) -> Problem:
    return NotFound("no_such_path", f"There is nothing at {path[:200]}. GET /api/v1/openapi.json lists what there is.")


class GatewayApp(FastAPI):
    """The gateway as an app: the front before everything, its own routes to be listed and documented."""

    def __init__(self, own: FastAPI, front: Front) -> None:
        super().__init__(title=own.title, openapi_url=None, docs_url=None, redoc_url=None)
        self.router = own.router
        self.state = own.state
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await super().__call__(scope, receive, send)
        else:
            await self._front(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The gateway's own document; the one of everything is at `/api/v1/openapi.json`."""
        return super().openapi()
