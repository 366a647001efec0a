"""Jobs: make, list, edit, start, stop, delete (rows T1–T5, T13, T14, T16)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from common.db.uow import UnitOfWork
from common.kernel.errors import Problem
from common.web.access import Permission, permits, visible
from common.web.idempotency import IdempotencyKey, answered_before, create_once
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from common.workloads import storage as workloads
from train_svc import usecases
from train_svc.context import Ctx
from train_svc.domain.job import JobState
from train_svc.presenting import shown, shown_with_reasons
from train_svc.schemas.attempts import AttemptOut
from train_svc.schemas.jobs import JobIn, JobOut, JobPatch
from train_svc.storage import jobs, jobs_table, uses_dataset, uses_set

router = APIRouter(tags=["jobs"])


@router.post("/jobs", status_code=201, response_model=JobOut, **permits(Permission.USER))
async def create_job(context: Ctx, who: Caller, body: JobIn, key: IdempotencyKey = None) -> Response:
    """Make a job from an algorithm and a dataset; it starts at once unless `start` is false."""
    store = context.kit.store
    request = body.asked()
    try:
        terms = await usecases.agree(context, who, request, body.dataset_after, body.algorithm_after)
    except Problem:  # what was accepted under this key stays accepted, whatever happened to its dataset since
        if (before := await answered_before(store, who, key, body)) is not None:
            return before
        raise

    async def work(uow: UnitOfWork) -> JobOut:
        return JobOut.of(await usecases.create(context, uow, who, request, terms, start=body.start))

    return await create_once(store, who, key, body, work)


@router.get("/jobs", **permits(Permission.USER))
async def list_jobs(
    context: Ctx,
    who: Caller,
    page: Paging,
    state: Annotated[list[JobState] | None, Query()] = None,
    q: str | None = None,
    purpose: str | None = None,
    owner: str | None = None,
    algorithm_id: str | None = None,
    dataset_id: str | None = None,
    formatted_set_id: str | None = None,
) -> PageOf[JobOut]:
    """All jobs that the caller may see, whatever their state; a dataset's or a set's with those that validate on it."""
    columns = jobs_table.c
    wanted = [visible(who, jobs_table), columns.deleted.is_(False)]
    wanted += [columns.state.in_(state)] if state else []
    wanted += [columns.name.icontains(q, autoescape=True)] if q else []
    wanted += [uses_dataset(dataset_id)] if dataset_id is not None else []
    wanted += [uses_set(formatted_set_id)] if formatted_set_id is not None else []
    exact = {"purpose": purpose, "owner": owner, "algorithm_id": algorithm_id}
    wanted += [columns[name] == value for name, value in exact.items() if value is not None]
    async with context.kit.store.reading() as connection:
        found = await jobs.page(connection, page, *wanted)
    return PageOf(items=await shown(context, found.items), next_cursor=found.next_cursor)


@router.get("/jobs/{job_id}", **permits(Permission.SEE))
async def get_job(context: Ctx, who: Caller, job_id: str) -> JobOut:
    """A job with everything that it was started with, where it stands and what it made."""
    return await shown_with_reasons(context, who, await usecases.seen(context, who, job_id))


@router.patch("/jobs/{job_id}", **permits(Permission.CHANGE))
async def edit_job(context: Ctx, who: Caller, job_id: str, body: JobPatch) -> JobOut:
    """Change a draft wholly, or name and description of any job."""
    job = await usecases.seen(context, who, job_id)
    request = usecases.edited(job, body.changes())
    saved = await usecases.edit(context, who, job, request, (body.dataset_after, body.algorithm_after))
    (job_out,) = await shown(context, [saved])
    return job_out


@router.delete("/jobs/{job_id}", status_code=204, **permits(Permission.CHANGE))
async def delete_job(context: Ctx, who: Caller, job_id: str) -> Response:
    """Delete a job that does not run. What it made stays: its model, and the model's lineage."""
    await context.kit.store.do(lambda uow: usecases.delete(uow, who, job_id), who.id)
    return Response(status_code=204)


@router.post("/jobs/{job_id}/start", status_code=202, **permits(Permission.CHANGE))
async def start_job(context: Ctx, who: Caller, job_id: str) -> JobOut:
    """Start a draft, or a job that ended once more, as a new attempt."""
    job = await usecases.seen(context, who, job_id)
    job.moved("start")
    terms = await usecases.agree_again(context, who, job)
    begun = await context.kit.store.do(lambda uow: usecases.begin(context, uow, job, terms), who.id)
    (job_out,) = await shown(context, [begun])
    return job_out


@router.post("/jobs/{job_id}/stop", status_code=202, **permits(Permission.CHANGE))
async def stop_job(context: Ctx, who: Caller, job_id: str) -> JobOut:
    """Let it end: SIGTERM, and SIGKILL after a grace period. What it wrote is kept, its devices are freed."""
    stopped = await context.kit.store.do(lambda uow: usecases.stop(context, uow, who, job_id), who.id)
    (job_out,) = await shown(context, [stopped])
    return job_out


@router.get("/jobs/{job_id}/attempts", **permits(Permission.SEE))
async def list_attempts(context: Ctx, who: Caller, job_id: str) -> PageOf[AttemptOut]:
    """Every try at the job, oldest first; log, metrics and results of each stay readable."""
    job = await usecases.seen(context, who, job_id)
    async with context.kit.store.reading() as connection:
        found = {attempt.id: attempt for attempt in await workloads.of_subject(connection, job.id)}
    simulated = context.simulated
    numbered = enumerate(job.attempts, start=1)
    return PageOf(items=[AttemptOut.of(number, found[attempt], simulated) for number, attempt in numbered])
