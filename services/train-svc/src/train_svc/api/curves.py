"""Learning curves: read whole or thinned, followed as they grow, and sent by clients (row T11)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from common.kernel.errors import Fault, Invalid, TooLarge
from common.web.access import Permission, permits
from common.web.identity import Caller
from common.workloads import storage as workloads
from common.workloads.workload import Phase
from train_svc import usecases
from train_svc.api.logs import Attempt, state_of
from train_svc.api.streams import ALIVE, event, resumed_at, streamed
from train_svc.context import Context, Ctx
from train_svc.domain.job import Job
from train_svc.domain.points import Columns, gather, thin
from train_svc.metrics import Place
from train_svc.schemas.jobs import AcceptedPoints

router = APIRouter(tags=["jobs"])

MOST_BYTES = 16 << 20
"""How long a body of points may be."""

Names = Annotated[list[str] | None, Query(description="Which metrics; all unless given")]


@router.get("/jobs/{job_id}/metrics", response_class=Response, **permits(Permission.SEE))
async def read_metrics(
    context: Ctx,
    who: Caller,
    job_id: str,
    attempt: Attempt = None,
    name: Names = None,
    points: Annotated[
        int | None, Query(ge=0, le=10_000_000, description="How many a metric at the most; 0 for all")
    ] = None,
) -> Response:
    """`{"attempt", "series": {name: [[step, value], …]}}`. Thinned curves keep every peak."""
    job = await usecases.seen(context, who, job_id)
    most = context.settings.metric_points if points is None else points
    number = attempt or job.attempt
    curves = await context.metrics.curves(job.attempt_id(attempt), name)
    body = {"attempt": number, "series": {metric: thin(curve, _least(most)) for metric, curve in curves.items()}}
    return Response(orjson.dumps(body), media_type="application/json")


def _least(most: int) -> int:
    """First, last, lowest and highest are the least that says something of a curve."""
    return max(most, 4) if most else 0


@router.post("/jobs/{job_id}/metrics", response_model=AcceptedPoints, **permits(Permission.CHANGE))
async def send_metrics(request: Request, context: Ctx, who: Caller, job_id: str, attempt: Attempt = None) -> Response:
    """Add points `[{"step": 1, "loss": 0.5}, …]` (or one) to an attempt; all of them or, with a fault, none."""
    job = await usecases.seen_lately(context, who, job_id)
    columns, taken = _points(await _body(request))
    await context.writer.add(job.attempt_id(attempt), columns)
    return Response(orjson.dumps({"accepted": taken}), media_type="application/json")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLarge("too_many_points", f"A body has at most {MOST_BYTES >> 20} MiB; send the points in parts.")
    return bytes(body)


def _points(body: bytes) -> tuple[Columns, int]:
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Invalid("invalid_metrics", f"The body is no JSON: {error}. NaN and infinities are none.") from error
    found = gather(sent if isinstance(sent, list) else [sent]).settle()
    if found.wrong:
        faults = [Fault(where, reason) for where, reason in found.faults]
        raise Invalid("invalid_metrics", f"The points have {found.wrong} fault(s); none was taken.", faults=faults)
    return found.columns, found.taken


@router.get("/jobs/{job_id}/metrics/stream", response_class=StreamingResponse, **permits(Permission.SEE))
async def follow_metrics(
    request: Request,
    context: Ctx,
    who: Caller,
    job_id: str,
    attempt: Attempt = None,
    after: Annotated[int, Query(ge=-1, le=2**62, description="Only later steps")] = -1,
) -> StreamingResponse:
    """Points as they come: events `metrics` (id: the step), data `{"step", name: value, …}`, and `end`."""
    job = await usecases.seen(context, who, job_id)
    return streamed(_follow(context, job, job.attempt_id(attempt), resumed_at(request, after)))


async def _follow(context: Context, job: Job, attempt: str, after: int) -> AsyncIterator[bytes]:
    clock, settings = context.kit.store.clock, context.settings
    spoke = clock.monotonic()
    seen: dict[str, Place] = {}
    while not context.kit.closing.is_set():
        over = await _over(context, attempt)
        steps = _by_step(await context.metrics.news(attempt, seen, after))
        for step, values in steps.items():
            yield event("metrics", {"step": step, **values}, step)
            spoke = clock.monotonic()
        if over:
            yield event("end", {"state": await state_of(context, job.id)})
            return
        if not steps:
            if clock.monotonic() - spoke >= settings.stream_heartbeat_seconds:
                yield ALIVE
                spoke = clock.monotonic()
            await clock.sleep(settings.stream_poll_seconds)


async def _over(context: Context, attempt: str) -> bool:
    """Whether no more points come from it: its file was read to the end."""
    async with context.kit.store.reading() as connection:
        return (await workloads.get(connection, attempt)).phase in (Phase.RELEASING, Phase.ENDED)


def _by_step(curves: dict[str, list[tuple[int, float]]]) -> dict[int, dict[str, float]]:
    """All metrics of each step, in the order of steps."""
    steps: dict[int, dict[str, float]] = {}
    for name, curve in curves.items():
        for step, value in curve:
            steps.setdefault(step, {})[name] = value
    return dict(sorted(steps.items()))
