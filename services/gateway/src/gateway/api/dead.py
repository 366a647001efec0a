"""Dead letters of all services, for administrators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from common.web.access import Permission, permits
from common.web.dead import Replayed
from common.web.identity import Caller, Principal
from gateway.context import Context, Ctx
from gateway.domain.routing import GATEWAY
from gateway.schemas import AllLetters, ReplayLetters
from gateway.usecases import dead
from gateway.usecases.asking import Asking

router = APIRouter(tags=["events"])


@router.get("/events/dead", **permits(Permission.ADMIN))
async def list_letters(
    request: Request,
    who: Caller,
    context: Ctx,
    service: Annotated[str | None, Query(description="Only those of this service, such as `train-svc`")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at the most")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> AllLetters:
    """Events that a service could not take, what it failed with, and what to do about each.

    `unavailable` names the services that did not answer: of those nothing is known now.
    """
    return await dead.dead_letters(_asking(request, context, who), limit, cursor, service)


@router.post("/events/dead/replay", **permits(Permission.ADMIN))
async def replay(request: Request, who: Caller, context: Ctx, wanted: ReplayLetters) -> Replayed:
    """Give some or all of them back to their handlers, for another series of tries."""
    asking = _asking(request, context, who)
    return await (dead.replay_all(asking, wanted.service) if wanted.all else dead.replay(asking, wanted.ids))


def _asking(request: Request, context: Context, who: Principal) -> Asking:
    """The services, and the gateway itself, which has an inbox too."""
    return Asking(context, who, {GATEWAY: request.app})
