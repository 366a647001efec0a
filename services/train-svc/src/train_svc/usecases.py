"""What one can do with a job: one function a verb. Writing ones work inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from common.contracts.job import JobDeleted
from common.db.aggregates import missing
from common.db.uow import UnitOfWork
from common.kernel.errors import Fault
from common.kernel.ids import new_id
from common.kernel.names import description_faults, name_faults, raise_faults
from common.web.access import require_change, require_see
from common.web.identity import Principal
from common.workloads import storage as workloads
from common.workloads.workload import Asking, Workload, ask, failing_nodes
from train_svc.catalogue import Wanted, usable
from train_svc.context import Context
from train_svc.domain.allocation import Allocation, AllocationState
from train_svc.domain.errors import NeverFits, NotADraft
from train_svc.domain.job import Job, JobRequest, JobState, Terms
from train_svc.domain.queues import queue_faults, usable_queues
from train_svc.domain.request import naming_faults, terms_of
from train_svc.mounting import agreed
from train_svc.overlap import counted
from train_svc.plans import environment_faults, plan_of
from train_svc.settings import Settings
from train_svc.storage import add_job, job_in, jobs, save_job

_EDITABLE = frozenset({"name", "description"})
"""What can be changed of a job that was started."""

_REMEMBERED_SECONDS = 1.0
_MOST_REMEMBERED = 512


async def agree(
    context: Context,
    who: Principal,
    request: JobRequest,
    dataset_after: int | None = None,
    algorithm_after: int | None = None,
) -> Terms:
    """What the request comes to, before anything is written: asks others, so never inside a transaction.

    Raises Invalid (`invalid_job`, all faults at once), NeverFits (`never_fits`), and as `catalogue`.
    """
    raise_faults("job", naming_faults(request))
    found = await usable(context.kit, who, Wanted.of(request, algorithm_after, dataset_after))
    used = await counted(context.kit.platform.files, found)
    async with context.kit.store.reading() as connection:
        queues = usable_queues(await context.ledger.queues(connection), who.groups, everyone=who.is_admin)
    choice = queue_faults(request, queues, context.settings.priority_classes)
    raise_faults("job", [*environment_faults(request.environment), *choice])
    queue = request.queue or queues[0]
    mounts = await agreed(context.kit, who, request.mounts)
    terms = replace(terms_of(request, used, context.house, queue), mounts=mounts)
    if terms.resources.nodes > 1 and not context.kit.platform.runtime.capabilities.gangs:
        raise_faults("job", [Fault("resources.nodes", "What runs workloads here can't run one on several nodes.")])
    return terms


async def create(
    context: Context, uow: UnitOfWork, who: Principal, request: JobRequest, terms: Terms, *, start: bool
) -> Job:
    """A new job: a draft, or started at once (row T3)."""
    now = uow.clock.now()
    draft = Job(new_id("job"), who.id, request, terms, now, now)
    if not start:
        return await add_job(uow, draft)
    return await _ask(context, uow, await add_job(uow, draft.begun(new_id("att"), terms, now)))


async def begin(context: Context, uow: UnitOfWork, job: Job, terms: Terms) -> Job:
    """A new attempt of a job that is there. Raises Conflict (`illegal_state`, `stale`), NeverFits (`never_fits`)."""
    return await _ask(context, uow, await save_job(uow, job.begun(new_id("att"), terms, uow.clock.now())))


async def take_up_again(context: Context, uow: UnitOfWork, job: Job) -> Job:
    """A new attempt of one that gave way to others. Where capacity for it is gone for good, the job ends with that."""
    again = await save_job(uow, job.gave_way(new_id("att")))
    taken = await _take(context, uow, again)
    if taken.state == AllocationState.REFUSED:
        await context.workloads.refuse(uow, again.attempt_id(), taken.detail)
    return await job_in(uow, job.id)


async def _ask(context: Context, uow: UnitOfWork, job: Job) -> Job:
    """Ask the ledger for the attempt's capacity; what fits now is granted in this very transaction."""
    taken = await _take(context, uow, job)
    if taken.state == AllocationState.REFUSED:
        resources = job.terms.resources
        raise context.ledger.never_fits(resources, taken.queue) or NeverFits(resources, None, taken.detail)
    return await job_in(uow, job.id)


async def _take(context: Context, uow: UnitOfWork, job: Job) -> Allocation:
    before = await workloads.of_subject(uow.connection, job.id) if job.attempt > 1 else []
    plan, asking = plan_of(job, context.settings), asking_of(job, context.settings, before)
    workload = await context.workloads.request(uow, job.attempt_id(), job.id, job.owner, plan, asking)
    return await context.ledger.take(uow, ask(workload, asking))


def asking_of(job: Job, settings: Settings, before: Sequence[Workload] = ()) -> Asking:
    """How a job's present attempt asks for capacity, after those `before` it."""
    return Asking(
        priority=job.request.priority,
        priority_class=job.request.priority_class,
        queue=job.terms.queue,
        preemptible=job.request.preemptible,
        min_run=settings.min_run_seconds,
        time_limit=job.terms.time_limit_seconds,
        avoid=failing_nodes(before),
        since=job.queued_at,
    )


async def agree_again(context: Context, who: Principal, job: Job) -> Terms:
    """The terms of a job's next attempt: a draft's are made afresh, one that ran before runs with the same.

    Raises as `agree`; what it uses must still be online.
    """
    if job.state == JobState.DRAFT:
        return await agree(context, who, job.request)
    await usable(context.kit, who, Wanted.of(job.request))
    if (refused := context.ledger.never_fits(job.terms.resources, job.terms.queue)) is not None:
        raise refused
    return job.terms


async def stop(context: Context, uow: UnitOfWork, who: Principal, job_id: str) -> Job:
    """Let it end (row T13). Stopping twice is stopping once. Raises Conflict (`illegal_state`) where it runs not."""
    job = await owned(uow, who, job_id)
    if job.state == JobState.STOPPING:
        return job
    if job.state != JobState.QUEUED:
        job.moved("stop")
    await context.workloads.ask_stop(uow, job.attempt_id(), grace=context.settings.stop_grace_seconds)
    return await job_in(uow, job_id)


def edited(job: Job, changes: dict[str, object]) -> JobRequest:
    """The request with these fields changed. Raises NotADraft, Invalid (`invalid_job`) for a name or description."""
    if job.state != JobState.DRAFT and (fixed := sorted(set(changes) - _EDITABLE - {"whole"})):
        raise NotADraft(fixed)
    request = replace(job.request, **changes)  # type: ignore[arg-type]
    raise_faults("job", [*name_faults(request.name), *description_faults(request.description)])
    return request


async def edit(
    context: Context, who: Principal, job: Job, request: JobRequest, after: tuple[int | None, int | None] = (None, None)
) -> Job:
    """Write a changed request (row T4); a draft's terms follow it. Raises Conflict (`stale`), and as `agree`."""
    terms = await agree(context, who, request, *after) if job.state == JobState.DRAFT else job.terms
    async with context.kit.store.work(actor=who.id) as uow:
        return await save_job(uow, replace(job, request=request, terms=terms))


async def delete(uow: UnitOfWork, who: Principal, job_id: str) -> None:
    """Delete a job that does not run; its outputs and its model stay (row T16). Raises Conflict (`job_running`)."""
    job = await owned(uow, who, job_id)
    await save_job(uow, job.removed())
    uow.emit(JobDeleted(id=job.id), subject=job.id, owner=job.owner)


async def owned(uow: UnitOfWork, who: Principal, job_id: str) -> Job:
    """A job that the caller may change. Raises NotFound, Forbidden."""
    job = await job_in(uow, job_id)
    require_change(who, "job", job_id, job.owner, shared=False)
    _require_there(job)
    return job


async def seen(context: Context, who: Principal, job_id: str) -> Job:
    """A job that the caller may see. Raises NotFound."""
    async with context.kit.store.reading() as connection:
        job = await jobs.get(connection, job_id)
    require_see(who, "job", job_id, job.owner, shared=False)
    _require_there(job)
    return job


async def seen_lately(context: Context, who: Principal, job_id: str) -> Job:
    """As `seen`, but the job may be as old as a second: for points, which come thick and fast."""
    now = context.kit.store.clock.monotonic()
    until, job = context.lately.get(job_id, (0.0, None))
    if job is None or until <= now:
        job = await seen(context, who, job_id)
        if len(context.lately) >= _MOST_REMEMBERED:
            context.lately.clear()
        context.lately[job_id] = (now + _REMEMBERED_SECONDS, job)
    require_see(who, "job", job_id, job.owner, shared=False)
    return job


def _require_there(job: Job) -> None:
    """A deleted job is there for nobody."""
    if job.deleted:
        raise missing("job", job.id)
