"""What happens to a job at the turns of its attempt's life: the hooks that `common.workloads` calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from common.contracts.job import (
    EndReason,
    JobFailed,
    JobPreempted,
    JobQueued,
    JobStarted,
    JobStopped,
    JobSucceeded,
    JobTimedOut,
)
from common.contracts.model import ModelCreated
from common.contracts.shared import ManifestRef
from common.db.uow import UnitOfWork
from common.service import Kit
from common.workloads.workload import Outcome, Phase, Workload, gives_back
from train_svc import collecting, following
from train_svc.domain.job import ENDED, Job, JobState, ending_verb
from train_svc.domain.model import Model, model_of
from train_svc.ledger import Gone, Ledger
from train_svc.metrics import Metrics
from train_svc.settings import Settings
from train_svc.storage import job_in, models, save_job

_ENDINGS = {
    JobState.FAILED: JobFailed,
    JobState.STOPPED: JobStopped,
    JobState.TIMED_OUT: JobTimedOut,
}


class Attempts:
    """The hooks of train-svc. `take_up_again` asks for a new attempt of a job that gave way to others."""

    def __init__(self, kit: Kit, settings: Settings, ledger: Ledger, metrics: Metrics) -> None:
        self._kit = kit
        self._settings = settings
        self._ledger = ledger
        self._metrics = metrics
        self.take_up_again: Callable[[UnitOfWork, Job], Awaitable[Job]]

    async def begin(self, uow: UnitOfWork, subject: str) -> None:
        """The job before its attempt, and both before the queue."""
        await job_in(uow, subject)

    async def changed(self, uow: UnitOfWork, before: Workload | None, after: Workload) -> None:
        """Move the job and tell the others, in the transaction of the change; free the devices of one that ended."""
        if before is None or _concerns_the_job(before, after):
            job = await job_in(uow, after.subject)
            if job.attempts[-1] == after.id:
                await self._follow(uow, job, before, after)
        if before is not None and gives_back(before, after):
            await self._ledger.hear(uow, Gone(after.allocation, after.id, "job", after.owner))

    async def _follow(self, uow: UnitOfWork, job: Job, before: Workload | None, after: Workload) -> None:
        if before is None:
            uow.emit(JobQueued(**_facts(job)), subject=job.id, owner=job.owner)
            return
        moved = job
        if before.phase == Phase.WAITING and after.phase == Phase.PREPARING:
            moved = moved.moved("grant")
        if started := before.started_at is None and after.started_at is not None:
            moved = _started(moved, after)
        stopped = _ends_for_good(after) and not _ends_for_good(before)
        if stopped and moved.state in (JobState.PREPARING, JobState.RUNNING):
            moved = moved.moved("stop")
        if moved is not job:
            job = await save_job(uow, moved)
        if started:
            uow.emit(JobStarted(**_facts(job)), subject=job.id, owner=job.owner)
        if _is_over(before, after) and job.state not in ENDED:
            await self._end(uow, job, after)

    async def _end(self, uow: UnitOfWork, job: Job, attempt: Workload) -> None:
        """The job's end, its event, and its model where it succeeded: one commit."""
        outcome = _outcome(attempt)
        if outcome.reason == EndReason.PREEMPTED:
            uow.emit(JobPreempted(**_facts(job)), subject=job.id, owner=job.owner)
            await self.take_up_again(uow, job)
            return
        ended = job.moved(
            ending_verb(outcome.reason),
            reason=outcome.reason,
            detail=outcome.detail,
            exit_code=outcome.exit_code,
            ended_at=attempt.ended_at or uow.clock.now(),
            evaluation=attempt.result.get("evaluation"),
            notes=tuple(attempt.result.get("notes", ())),
        )
        model = _model(ended, attempt, uow) if ended.state == JobState.SUCCEEDED else None
        if model is not None:
            ended = replace(ended, model_id=model.id)
        saved = await save_job(uow, ended)
        await self._tell_end(uow, saved, outcome)
        if model is not None:
            await models.add(uow.connection, model)
            created = ModelCreated(**facts_of(model))
            uow.emit(created, subject=model.id, owner=model.owner)

    async def _tell_end(self, uow: UnitOfWork, job: Job, outcome: Outcome) -> None:
        how: dict[str, Any] = {"reason": outcome.reason, "detail": outcome.detail, "exit_code": outcome.exit_code}
        event = (
            JobSucceeded(**_facts(job), **how, model_id=job.model_id)
            if job.state == JobState.SUCCEEDED
            else _ENDINGS[job.state](**_facts(job), **how)
        )
        uow.emit(event, subject=job.id, owner=job.owner)

    async def observed(self, workload: Workload) -> None:
        """Read on in its metrics file."""
        await following.read_on(self._kit.platform.runtime, self._metrics, workload)

    async def collect(self, workload: Workload) -> dict[str, Any]:
        """Keep its metrics, log and results. Idempotent: a second time stores nothing anew."""
        runtime = self._kit.platform.runtime
        written = await following.read_on(runtime, self._metrics, workload, to_the_end=True)
        result = await collecting.collect(self._kit.platform, self._settings, workload)
        result["metrics"] = (await self._metrics.latest([workload.id])).get(workload.id, {})
        if written and (skipped := await self._metrics.skipped(workload.id)):
            result["notes"].append(f"{skipped} value(s) of its metrics file were no finite numbers and left out.")
        return result


def _concerns_the_job(before: Workload, after: Workload) -> bool:
    """Most turns do. Of one whose results are kept, its job has ended already; and one that runs no more still has to
    keep them first."""
    if before.phase == Phase.RELEASING:
        return after.handle is None
    keeps = after.phase == Phase.COLLECTING and before.phase == Phase.RUNNING
    return not keeps or (before.started_at, before.stop) != (after.started_at, after.stop)


def _is_over(before: Workload, after: Workload) -> bool:
    """Nothing of it runs any more: its results are kept, or it was given up and confirmed gone."""
    return after.phase == Phase.ENDED or (before.phase == Phase.COLLECTING and after.phase == Phase.RELEASING)


def _ends_for_good(attempt: Workload) -> bool:
    return attempt.stop is not None and attempt.stop.reason != EndReason.PREEMPTED


def _outcome(attempt: Workload) -> Outcome:
    """Why it ended; one that gave way to others, and that somebody stopped before it was over, was stopped."""
    outcome = attempt.outcome or Outcome(EndReason.LOST)
    if outcome.reason == EndReason.PREEMPTED and attempt.stop is not None and _ends_for_good(attempt):
        return replace(outcome, reason=attempt.stop.reason)
    return outcome


def _started(job: Job, attempt: Workload) -> Job:
    if job.state == JobState.PREPARING:
        return job.moved("run", started_at=attempt.started_at)
    return replace(job, started_at=attempt.started_at)


def _facts(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "owner": job.owner,
        "attempt": job.attempt,
        "algorithm_id": job.terms.algorithm.id,
        **job.terms.uses,
    }


def _model(job: Job, attempt: Workload, uow: UnitOfWork) -> Model | None:
    results = attempt.result.get("results")
    if results is None:
        return None
    manifest = ManifestRef.model_validate(results)
    model_id = f"model-{attempt.id.partition('-')[2]}"
    return model_of(model_id, job, job.terms, manifest, attempt.result.get("metrics", {}), uow.clock.now())


def facts_of(model: Model) -> dict[str, Any]:
    """What every event of a model carries."""
    return {
        "id": model.id,
        "name": model.name,
        "owner": model.owner,
        "visibility": model.visibility,
        "purpose": model.purpose,
        "manifest": model.manifest,
        "lineage": model.lineage,
    }
