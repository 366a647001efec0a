"""The log of a job's attempt: read, followed, downloaded (row T12)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from common.web.access import Permission, permits
from common.web.downloads import attachment
from common.web.identity import Caller
from train_svc import usecases
from train_svc.api.streams import ALIVE, event, resumed_at, streamed
from train_svc.context import Context, Ctx
from train_svc.logs import Log, whole_characters
from train_svc.storage import jobs

router = APIRouter(tags=["jobs"])

Attempt = Annotated[int | None, Query(ge=1, description="The attempt's number; the present one unless given")]
Member = Annotated[int, Query(ge=0, description="Which member of a gang; 0 is the one whose results count")]
Offset = Annotated[int, Query(ge=0, le=2**62, description="From which byte on")]

STREAM_BYTES = 64 << 10


@router.get("/jobs/{job_id}/log", response_class=Response, **permits(Permission.SEE))
async def read_log(
    context: Ctx,
    who: Caller,
    job_id: str,
    attempt: Attempt = None,
    member: Member = 0,
    offset: Offset = 0,
    download: bool = False,
) -> Response:
    """What was logged from `offset` on; `X-Next-Offset` is where to go on. With `download`, the whole as a file."""
    job = await usecases.seen(context, who, job_id)
    log = Log(context.kit, job.attempt_id(attempt), member)
    name = f"{job.name}-{attempt or job.attempt}" + (f"-{member}" if member else "")
    headers = attachment(f"{name}.log") if download else {}
    headers["X-Content-Type-Options"] = "nosniff"
    workload = await log.workload()
    size = await log.stored_bytes(workload)
    if size is not None and offset < size:
        headers["X-Next-Offset"] = str(size)
        return StreamingResponse(log.stored(workload, offset), media_type="text/plain; charset=utf-8", headers=headers)
    content, _ = await log.read(offset, context.settings.log_read_bytes)
    headers["X-Next-Offset"] = str(offset + len(content))
    return Response(content, media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/jobs/{job_id}/log/stream", response_class=StreamingResponse, **permits(Permission.SEE))
async def follow_log(
    request: Request,
    context: Ctx,
    who: Caller,
    job_id: str,
    attempt: Attempt = None,
    member: Member = 0,
    offset: Offset = 0,
) -> StreamingResponse:
    """The log as it grows: events `log` (id: the offset after it) and, once it is complete, `end`.

    A stream that ends without `end` is to be taken up again after the last id.
    """
    job = await usecases.seen(context, who, job_id)
    log = Log(context.kit, job.attempt_id(attempt), member)
    await log.workload()
    return streamed(_follow(context, log, job_id, resumed_at(request, offset)))


async def _follow(context: Context, log: Log, job_id: str, offset: int) -> AsyncIterator[bytes]:
    clock, settings = context.kit.store.clock, context.settings
    spoke = clock.monotonic()
    while not context.kit.closing.is_set():
        block, complete = await log.read(offset, STREAM_BYTES)
        whole = len(block) if complete else whole_characters(block)
        if whole:
            offset += whole
            yield event("log", {"text": block[:whole].decode(errors="replace")}, offset)
            spoke = clock.monotonic()
        if complete:
            yield event("end", {"state": await state_of(context, job_id)}, offset)
            return
        if whole == 0:
            if clock.monotonic() - spoke >= settings.stream_heartbeat_seconds:
                yield ALIVE
                spoke = clock.monotonic()
            await clock.sleep(settings.stream_poll_seconds)


async def state_of(context: Context, job_id: str) -> str:
    """Where the job stands now."""
    async with context.kit.store.reading() as connection:
        return (await jobs.get(connection, job_id)).state
