"""Asking serving-svc what stands behind an address, when what was heard so far would turn the caller away.

Events are a moment behind: whoever just saw that a service is ready, or is stopped, may call it before the gateway
heard of it.
"""

from __future__ import annotations

import time

import structlog

from common.contracts.service import ServiceSnapshot
from common.kernel.errors import NotFound, Problem
from common.kernel.ids import is_id
from common.web.calls import Calls
from gateway.dataplane.table import RouteTable, route_of

PAUSE_SECONDS = 0.25
"""How long an answer about one service is believed before it is asked for again."""
MOST_REMEMBERED = 1000

log = structlog.get_logger("serve")


class Owner:
    """serving-svc, asked at most once in a while for each service."""

    def __init__(self, calls: Calls, routes: RouteTable) -> None:
        self._calls = calls
        self._routes = routes
        self._asked: dict[str, float] = {}

    async def refresh(self, service: str) -> None:
        """Bring the route of a service up to date; where the owner can't be asked, it stays as it was heard."""
        now = time.monotonic()
        if not is_id(service, "svc") or now - self._asked.get(service, -PAUSE_SECONDS) < PAUSE_SECONDS:
            return
        if len(self._asked) >= MOST_REMEMBERED:
            self._asked.clear()
        self._asked[service] = now
        before = self._routes.find(service)
        try:
            told = await self._calls.get("serving-svc", f"/api/v1/services/{service}/snapshot")
        except NotFound:
            told = None
        except Problem as problem:
            log.debug("the owner tells nothing of a service", service=service, reason=problem.detail)
            return
        if self._routes.find(service) is not before:
            return  # an event was heard meanwhile, and it may be the later news
        if told is None:
            self._routes.drop(service)
        else:
            self._routes.set(route_of(ServiceSnapshot.model_validate(told)))
