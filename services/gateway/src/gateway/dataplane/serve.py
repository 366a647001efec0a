"""The proxy of `/serve/{service}/…`: who may call, which replica answers, what goes through."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import structlog
from starlette.types import Receive, Scope, Send
from yarl import URL

from common.contracts.shared import Visibility
from common.db.aggregates import missing
from common.kernel.errors import BadRequest, BadUpstream, Problem, Stopped, Unavailable
from common.ports.routes import Route
from common.web.access import may_see
from common.web.identity import Principal
from common.web.problems import answer_problem, as_problem
from gateway.dataplane.owner import Owner
from gateway.dataplane.table import STOPPED, Entry, RouteTable
from gateway.domain.balance import Target, pick
from gateway.domain.paths import in_ascii, is_safe
from gateway.identity.authenticator import Authenticator
from gateway.proxy import websocket
from gateway.proxy.guard import Guard
from gateway.proxy.headers import Headers, header, passed_on
from gateway.proxy.http import CutOff, NotConnected, Outgoing, exchange, open_session
from gateway.settings import Settings
from gateway.tracing import TraceOf

PREFIX = "/serve/"
_RAW_PREFIX = b"/serve/"

log = structlog.get_logger("serve")


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may go ahead: whose, to which service, and what comes after its address (with the query)."""

    who: Principal
    entry: Entry
    rest: str
    headers: Headers


class DataPlane:
    """Serves `/serve/…`, HTTP and WebSocket. `open` it in the loop that it runs in."""

    def __init__(
        self, routes: RouteTable, owner: Owner, authenticator: Authenticator, settings: Settings, trace: TraceOf
    ) -> None:
        self._routes = routes
        self._owner = owner
        self._authenticator = authenticator
        self._settings = settings
        self._trace = trace
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Be ready to call replicas."""
        self._session = open_session(self._settings.connect_seconds)

    async def close(self) -> None:
        """Give the connections back."""
        if self._session is not None:
            await self._session.close()

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        trace = self._trace(scope)
        extra = [(b"x-trace-id", trace.id)]
        try:
            call = await self._admit(scope)
            call.headers.append((b"traceparent", trace.parent))
            await self._pass_on(call, scope, receive, send, extra)
        except CutOff:
            return  # the server sees an unfinished answer and closes the connection: the client knows
        except Problem as problem:
            await answer_problem(send, problem, extra)
        except Exception as error:  # noqa: BLE001 - told as a problem, logged whole by as_problem
            await answer_problem(send, as_problem(error), extra)

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket."""
        assert self._session is not None
        await receive()
        try:
            websocket.check_origin(scope)
            call = await self._admit(scope)
            protocols = tuple(scope.get("subprotocols", ()))
            tried: list[Target] = []
            while True:
                target = await self._target(call, tried)
                url = "ws" + target.url.removeprefix("http") + call.rest
                try:
                    far = await websocket.connect(self._session, url, call.headers, protocols)
                    break
                except NotConnected:
                    self._refused_us(target, tried)
        except Problem as problem:
            await websocket.refuse(scope, send, problem)
            return
        target.in_flight += 1
        try:
            await websocket.bridge(far, receive, send)
        finally:
            target.in_flight -= 1

    async def _admit(self, scope: Scope) -> Call:
        """Who asks for what. Raises Unauthenticated, NotFound (not there, or not to be seen), BadRequest."""
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        if not is_safe(raw) or not raw.startswith(_RAW_PREFIX):
            raise BadRequest("bad_path", "A path below /serve/ has no `..`, no `//` and no encoded separators.")
        name, _, rest = raw[len(_RAW_PREFIX) :].partition(b"/")
        authorization = header(scope["headers"], b"authorization")
        verified = self._authenticator.known(authorization) if authorization is not None else None
        verified = verified or await self._authenticator.authenticate(authorization)
        service = name.decode("latin-1")
        entry = self._routes.find(service)
        if entry is None or not entry.targets:
            await self._owner.refresh(service)
        entry = self._found(service, verified.principal)
        query = scope["query_string"]
        target = b"/" + rest + b"?" + query if query else b"/" + rest
        headers = passed_on(scope["headers"])
        headers.append((b"x-forwarded-prefix", _RAW_PREFIX + name))
        headers.append((b"x-forwarded-proto", scope["scheme"].encode()))
        return Call(verified.principal, entry, in_ascii(target), headers)

    async def _pass_on(self, call: Call, scope: Scope, receive: Receive, send: Send, extra: Headers) -> None:
        """To one replica after another until one takes the connection; what was sent once is never sent again."""
        assert self._session is not None
        _next(call.entry, ())  # before the body is asked for: a client that waits for `100 Continue` need not send it
        first = await receive()
        if first["type"] == "http.disconnect":
            return
        body, more, method = first.get("body", b""), first.get("more_body", False), scope["method"]
        tried: list[Target] = []
        while True:
            target = await self._target(call, tried)
            out = Outgoing(method, URL(target.url + call.rest, encoded=True), call.headers, body, more)
            target.in_flight += 1
            try:
                await exchange(self._session, out, Guard(receive, self._settings.answer_seconds), send, extra)
                return
            except NotConnected:
                self._refused_us(target, tried)
            finally:
                target.in_flight -= 1

    async def _target(self, call: Call, tried: Sequence[Target]) -> Target:
        """Who is asked next. Where none takes a connection, what was heard of the service may be out of date: its owner
        is asked before the caller is told. Raises what `_next` raises, and NotFound."""
        try:
            return _next(call.entry, tried)
        except BadUpstream:
            service = call.entry.route.service
            await self._owner.refresh(service)
        return _next(self._found(service, call.who), tried)

    def _found(self, service: str, who: Principal) -> Entry:
        """What stands behind the address. Raises NotFound where nothing does, or nothing that they may call."""
        entry = self._routes.find(service)
        if entry is None or not _may_call(who, entry.route):
            raise missing("service", service)
        return entry

    def _refused_us(self, target: Target, tried: list[Target]) -> None:
        log.info("a replica takes no connection", replica=target.replica)
        target.avoid_until = time.monotonic() + self._settings.avoid_seconds
        tried.append(target)


def _may_call(who: Principal, route: Route) -> bool:
    return may_see(who, route.owner, route.visibility is not Visibility.PRIVATE)


def _next(entry: Entry, tried: Sequence[Target]) -> Target:
    """Who is asked next.

    Raises Stopped (`service_stopped`), Unavailable (`no_ready_replica`), BadUpstream (`replica_unreachable`: all were
    tried).
    """
    targets = entry.targets
    if not targets:
        raise _nobody(entry.route)
    target = targets[0] if len(targets) == 1 and not tried else pick(targets, time.monotonic(), tried)
    if target is None:
        raise BadUpstream(
            "replica_unreachable",
            f"None of the service's {len(targets)} replica(s) takes a connection. They are replaced; try again soon.",
            retry_after=1,
        )
    return target


def _nobody(route: Route) -> Unavailable:
    if route.state == STOPPED:
        return Stopped(
            "service_stopped",
            f"The service is stopped. Start it with `yard service start {route.service}` or "
            f'POST /api/v1/services/{route.service}/start {{"replicas": 1}}.',
            service=route.service,
            state=route.state,
        )
    return Unavailable(
        "no_ready_replica",
        f"The service is {route.state}, but none of its replicas is ready. "
        f"See GET /api/v1/services/{route.service}/replicas, and try again soon.",
        service=route.service,
        state=route.state,
        retry_after=1,
    )
