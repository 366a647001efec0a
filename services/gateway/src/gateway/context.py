"""What every room of the gateway works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from common.service import Kit
from gateway.dataplane.table import RouteTable
from gateway.domain.throttle import Throttle
from gateway.identity.authenticator import Authenticator
from gateway.identity.passwords import Passwords
from gateway.identity.tokens import LoginTokens
from gateway.live import Live
from gateway.settings import Settings
from gateway.upstreams import Upstream


@dataclass(frozen=True)
class Context:
    """The gateway's parts. `by_name` and `by_address` count failed logins."""

    kit: Kit
    settings: Settings
    upstreams: Mapping[str, Upstream]
    passwords: Passwords
    tokens: LoginTokens
    authenticator: Authenticator
    by_name: Throttle
    by_address: Throttle
    routes: RouteTable
    live: Live


async def _context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


Ctx = Annotated[Context, Depends(_context)]
