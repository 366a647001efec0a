"""What serving-svc's routes, reactions and loops work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import httpx2
from fastapi import Depends, Request

from common.service import Kit
from common.workloads.loop import Workloads
from serving_svc.settings import Settings


@dataclass(frozen=True)
class Context:
    """The service's share of the platform, its workloads, how to wake the loops, and a client for replicas.

    `client` follows no redirects and no proxies: it speaks to the platform's own replicas and to nobody else.
    """

    kit: Kit
    settings: Settings
    workloads: Workloads
    client: httpx2.AsyncClient
    wake: Callable[[], None]


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
