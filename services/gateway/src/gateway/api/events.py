"""The live stream of events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from common.kernel.errors import Fault, Invalid
from common.kernel.events import EVENT_TYPES
from common.web.access import Permission, permits
from common.web.identity import Caller
from gateway.context import Ctx

router = APIRouter(tags=["events"])


@router.get("/events", response_class=StreamingResponse, **permits(Permission.USER))
async def listen(
    who: Caller,
    context: Ctx,
    types: Annotated[str | None, Query(description="Only these, such as `job.*,model.created`")] = None,
) -> StreamingResponse:
    """Server-sent events, each a CloudEvent, of everything that the caller may see; from now on, nothing earlier.

    The last event of a stream that the platform ends is `end` with a reason: `slow` (the client can't keep up),
    `login` (something about its rights changed), `reconnect` or `shutdown`.
    """
    wanted = [part.strip() for part in types.split(",") if part.strip()] if types else []
    _check(wanted)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(context.live.listen(who, wanted), media_type="text/event-stream", headers=headers)


def _check(wanted: list[str]) -> None:
    known = {*EVENT_TYPES, *(f"{name.partition('.')[0]}.*" for name in EVENT_TYPES)}
    faults = [Fault("types", f"There is no event {name}.") for name in wanted if name not in known]
    if faults:
        families = ", ".join(sorted(name for name in known if name.endswith("*")))
        raise Invalid("unknown_event_type", f"Unknown event types. There are {families}.", faults=faults)
