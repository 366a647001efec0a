"""What stands before a service's own routes: whether it lives, whether it can do its work, and its figures.

It answers from the first moment, also while the service waits for its database, and refuses everything else until
then. The operator's listener has the same door without the house behind it, and with `/metrics`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from common.hosting.watch import Watch
from common.kernel.errors import NotFound, Problem, Unavailable
from common.service import Service
from common.telemetry import figures
from common.telemetry.figures import Figure
from common.web.problems import answer_problem

FIGURES_SECONDS = 5.0
"""How long a service may take to tell its figures."""

_NEVER_KEPT = (b"cache-control", b"no-store")

log = structlog.get_logger("health")


class Health:
    """How the services of this process are: starting, working or stopping, and what their dependencies are like."""

    def __init__(self, name: str, services: Sequence[Service], watches: Sequence[Watch] = ()) -> None:
        self.name = name
        self.services = services
        self.watches = watches
        self.waits_for: str | None = "it has only just begun"
        """Why it does not work yet; None once it does."""
        self.stopping = False

    async def missing(self) -> dict[str, str]:
        """What is not well, by name, and why. All are looked at side by side."""
        found = await asyncio.gather(*(watch.now() for watch in self.watches))
        missing = {watch.name: why for watch, why in zip(self.watches, found, strict=True) if why is not None}
        if self.waits_for is not None:
            missing["start"] = self.waits_for
        if self.stopping:
            missing["stop"] = "it was told to stop"
        return missing

    async def readiness(self) -> dict[str, str]:
        """What is well. Raises Unavailable (`not_ready`), which lists what is missing and why."""
        missing = await self.missing()
        if missing:
            named = "; ".join(f"{name}: {why}" for name, why in missing.items())
            raise Unavailable("not_ready", f"{self.name} can't do its work now: {named}", missing=missing)
        return {"status": "ok", **{watch.name: watch.remark() or "ok" for watch in self.watches}}

    async def figures(self) -> bytes:
        """All figures as text. What can't be told now is left out, and said to be so."""
        sources = [(service.name, source) for service in self.services for source in service.figures]
        asked = (asyncio.wait_for(source(), FIGURES_SECONDS) for _, source in sources)
        found = await asyncio.gather(*asked, return_exceptions=True)
        await self.missing()
        failed = dict.fromkeys((name for name, _ in sources), 0.0)
        told: list[Figure] = []
        for (name, _), outcome in zip(sources, found, strict=True):
            if isinstance(outcome, BaseException):
                failed[name] += 1
                log.info("figures can't be told now", service=name, reason=repr(outcome))
            else:
                told.extend(outcome)
        untold = [({"service": name}, count) for name, count in failed.items()]
        told.append(Figure("modelyard_figures_untold", "Sources of figures that could not be asked now", untold))
        well = [({"dependency": watch.name}, float(watch.trouble is None)) for watch in self.watches]
        told.append(Figure("modelyard_dependency_up", "Whether what is needed answers", well))
        return figures.written(told)


class Door:
    """The app that a host listens with. `behind` is the service's own, once it works."""

    def __init__(self, health: Health, *, operator: bool = False) -> None:
        self.behind: ASGIApp | None = None
        self._health = health
        self._operator = operator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        path = scope["path"]
        if scope["type"] == "http" and path in ("/healthz", "/readyz", "/metrics"):
            await self._tell(path, send)
        elif self.behind is not None:
            await self.behind(scope, receive, send)
        elif scope["type"] == "http":
            await answer_problem(send, self._absent(path), [_NEVER_KEPT])
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1013})

    def _absent(self, path: str) -> Problem:
        if self._operator:
            return NotFound("no_such_path", f"There is nothing at {path[:200]}: only /healthz, /readyz and /metrics.")
        why = self._health.waits_for or "it was told to stop"
        return Unavailable("starting", f"{self._health.name} does not work yet: {why}. Try again soon.")

    async def _tell(self, path: str, send: Send) -> None:
        try:
            if path == "/healthz":
                await _answer(send, 200, orjson.dumps({"status": "ok"}))
            elif path == "/readyz":
                await _answer(send, 200, orjson.dumps(await self._health.readiness()))
            elif self._operator:
                await _answer(send, 200, await self._health.figures(), figures.CONTENT_TYPE)
            else:
                raise NotFound("no_such_path", "Figures are on the operator's listener: set YARD_OPERATOR_PORT.")
        except Problem as problem:
            await answer_problem(send, problem, [_NEVER_KEPT])


async def _answer(send: Send, status: int, body: bytes, kind: str = "application/json") -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode()), _NEVER_KEPT]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
