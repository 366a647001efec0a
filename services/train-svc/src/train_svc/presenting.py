"""A job as it stands at this moment: its row, its latest metrics, and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy.ext.asyncio import AsyncConnection

from common.web.access import may_see
from common.web.identity import Principal
from common.workloads import storage as workloads
from common.workloads.progress import Stand
from train_svc.context import Context
from train_svc.domain.allocation import Allocation
from train_svc.domain.giving_way import giving_way
from train_svc.domain.job import Job, JobState
from train_svc.domain.reasons import reasons
from train_svc.domain.scheduling.explaining import position
from train_svc.schemas.capacity import GivingWayOut, ReasonsOut
from train_svc.schemas.jobs import JobOut
from train_svc.storage import allocations

_PREPARING = (JobState.PREPARING, JobState.STOPPING)
_MAY_GIVE_WAY = (JobState.PREPARING, JobState.RUNNING)


async def shown(context: Context, jobs: Sequence[Job]) -> list[JobOut]:
    """The jobs as they are told."""
    present = [job.attempts[-1] for job in jobs if job.attempts]
    metrics = await context.metrics.latest(present) if present else {}
    queued = [_allocation(job) for job in jobs if job.state == JobState.QUEUED and job.attempts]
    places: Mapping[str, int] = {}
    if queued:
        async with context.kit.store.reading() as connection:
            places = await positions(context, connection, queued)
    progress = await context.workloads.progress_of([job.attempts[-1] for job in jobs if job.state in _PREPARING])
    return [
        JobOut.of(job, metrics.get(attempt, {}), *_standing(job, places, progress))
        for job in jobs
        for attempt in [job.attempts[-1] if job.attempts else ""]
    ]


async def shown_with_reasons(context: Context, who: Principal, job: Job) -> JobOut:
    """One job as it is told, with why it waits where it does, and how it gives way to others."""
    (told,) = await shown(context, [job])
    if job.state not in (JobState.QUEUED, *_MAY_GIVE_WAY):
        return told
    async with context.kit.store.reading() as connection:
        if job.state in _MAY_GIVE_WAY:
            held = await allocations.find(connection, _allocation(job))
            return told.model_copy(update={"giving_way": held and await giving_way_of(connection, who, held)})
        return told.model_copy(update={"waiting": await reasons_for(context, connection, who, _allocation(job))})


def _allocation(job: Job) -> str:
    return f"alloc-{job.attempts[-1]}"


def _standing(job: Job, places: Mapping[str, int], progress: Mapping[str, Stand]) -> tuple[float | None, str]:
    """How far being prepared is, and what it waits for."""
    if job.state == JobState.QUEUED and job.attempts and (place := places.get(_allocation(job))) is not None:
        where = f"at position {place} of the queue" if place else "which is kept for it until others have ended"
        return None, f"It waits for capacity, {where}."
    if job.state in _PREPARING:
        return progress.get(job.attempts[-1], (0.0, ""))
    return None, ""


async def positions(context: Context, connection: AsyncConnection, ids: Iterable[str]) -> dict[str, int]:
    """Where allocations that wait stand in line, from 1; 0 for those whose capacity is kept for them."""
    wanted = list(ids)
    if not wanted:
        return {}
    state, now = await context.ledger.seen(connection), context.kit.store.clock.now().timestamp()
    found = {one: 0 for one in wanted if one in state.books.claims}
    lines = state.books.lines.requests
    return found | {one: position(state, one, now) for one in wanted if one in lines}


async def reasons_for(
    context: Context, connection: AsyncConnection, who: Principal, allocation_id: str
) -> ReasonsOut | None:
    """Why it waits, as far as the caller may know; None where it does not."""
    state, now = await context.ledger.seen(connection), context.kit.store.clock.now().timestamp()
    found = reasons(state, allocation_id, now, lambda owner: may_see(who, owner, shared=False))
    return ReasonsOut.of(found) if found is not None else None


async def giving_way_of(connection: AsyncConnection, who: Principal, held: Allocation) -> GivingWayOut | None:
    """How it gives way to others, as far as the caller may know; None where it does not."""
    asker = await allocations.find(connection, held.ends_for) if held.ends_for else None
    begins = None
    if asker is not None and may_see(who, asker.owner, shared=False):
        begins = await workloads.subject_of(connection, asker.workload) or asker.workload
    found = giving_way(held, begins)
    return GivingWayOut.model_validate(asdict(found)) if found is not None else None
