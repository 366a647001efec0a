"""A job as it stands at this moment: its row, its latest metrics, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common.workloads.progress import Stand
from train_svc.context import Context
from train_svc.domain.job import Job, JobState
from train_svc.ledger import waiting_in_order
from train_svc.schemas.jobs import JobOut

_PREPARING = (JobState.PREPARING, JobState.STOPPING)


async def shown(context: Context, jobs: Sequence[Job]) -> list[JobOut]:
    """The jobs as they are told."""
    present = [job.attempts[-1] for job in jobs if job.attempts]
    metrics = await context.metrics.latest(present) if present else {}
    positions = await _positions(context, jobs)
    progress = await context.workloads.progress_of([job.attempts[-1] for job in jobs if job.state in _PREPARING])
    return [
        JobOut.of(job, metrics.get(attempt, {}), *_standing(job, positions.get(attempt), progress))
        for job in jobs
        for attempt in [job.attempts[-1] if job.attempts else ""]
    ]


def _standing(job: Job, position: int | None, progress: Mapping[str, Stand]) -> tuple[float | None, str]:
    """How far being prepared is, and what it waits for."""
    if job.state == JobState.QUEUED and position is not None:
        return None, f"It waits for capacity, at position {position} of the queue."
    if job.state in _PREPARING:
        return progress.get(job.attempts[-1], (0.0, ""))
    return None, ""


async def _positions(context: Context, jobs: Sequence[Job]) -> dict[str, int]:
    """Places in the queue, from 1, by workload; asked only where one waits."""
    if not any(job.state == JobState.QUEUED for job in jobs):
        return {}
    async with context.kit.store.reading() as connection:
        waiting = await waiting_in_order(connection)
    return {allocation.workload: place for place, allocation in enumerate(waiting, start=1)}
