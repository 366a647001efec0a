"""The loop of imports: starts what is due, stops what was cancelled, and continues after a kill.

Each import is a task of this process over a child process; what it came to is applied in one transaction, guarded by
the lease, so nothing is ever half published: the files are stored first, then version and events commit together.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection
from dataclasses import asdict, replace
from functools import partial
from operator import itemgetter

import structlog

from common.db.leases import Lease, LeaseLost
from common.kernel.errors import Problem, Unavailable
from common.web.problems import as_problem
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.imports import Import, due
from dataset_svc.importing import ImportResult, Progress, import_archive
from dataset_svc.reconcile.course import Course
from dataset_svc.reconcile.outcomes import Outcomes
from dataset_svc.reconcile.resting import Resting
from dataset_svc.reconcile.workplace import Workplace, left_behind

log = structlog.get_logger("imports")


class Imports:
    """The imports that this process works at. `round` is the body of a leased loop."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._courses: dict[str, Course] = {}
        self._resting = Resting(context.settings.source_seconds, context.store.clock)
        self._lease: Lease | None = None

    @property
    def at_work(self) -> Collection[str]:
        """Ids of the imports that are being worked at."""
        return self._tasks.keys()

    async def round(self, lease: Lease | None) -> None:
        """Bring what is done into line with what is wanted; returns at once, the work goes on in tasks."""
        assert lease is not None, "the loop of imports is leased"
        if lease != self._lease:
            await self.stop()
            for folder in left_behind(self._context, lease.epoch):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            self._lease = lease
        async with self._context.store.reading() as connection:
            active = await storage.active_imports(connection)
        ids = {item.id for item in active}
        await self._drop(self._tasks.keys() - ids)
        self._forget_ended(ids)
        await self._note_progress()
        resting, at_once = self._resting.among(ids), self._context.settings.imports_at_once
        for item in due(active, self._tasks.keys(), resting, at_once):
            task = asyncio.create_task(self._take(item.id, lease), name=f"import {item.id}")
            self._tasks[item.id] = task

    def _forget_ended(self, active: Collection[str]) -> None:
        self._resting.keep(active)
        for kept in (self._context.progress, self._courses):
            for ended in kept.keys() - set(active):
                del kept[ended]

    def lose(self) -> None:
        """Another instance may work at them from now on."""
        self._lease = None
        for task in self._tasks.values():
            task.cancel()
        self._forget_ended(())

    async def stop(self) -> None:
        """Stop working; whoever holds the lease next begins these imports again."""
        await self._drop(set(self._tasks))
        self._forget_ended(())

    async def _drop(self, ids: Collection[str]) -> None:
        """End tasks, with their child processes."""
        tasks = [self._tasks[import_id] for import_id in ids if import_id in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _note_progress(self) -> None:
        """For those who ask another instance."""
        if not self._context.progress:
            return
        async with self._context.store.work() as uow:
            for import_id, progress in sorted(self._context.progress.items(), key=itemgetter(0)):
                await storage.save_progress(uow.connection, import_id, asdict(progress))

    async def _take(self, import_id: str, lease: Lease) -> None:
        """Work at one import. What can't be done now is left as it is, and a later round takes it again."""
        try:
            await self._import(import_id, lease)
        except LeaseLost as reason:
            log.warning("import is another instance's", import_id=import_id, reason=str(reason))
        except Problem as problem:
            await self._in_vain(import_id, Outcomes(self._context, lease), problem)
        except Exception as error:
            log.exception("import could not be ended", import_id=import_id)
            await self._in_vain(import_id, Outcomes(self._context, lease), as_problem(error))
        finally:
            self._tasks.pop(import_id, None)
            self._context.ring()

    async def _in_vain(self, import_id: str, outcomes: Outcomes, problem: Problem) -> None:
        """It is tried again after a rest, in which others have their turn, or has failed for good."""
        if not self._resting.failed(import_id, problem):
            log.warning("import waits", import_id=import_id, reason=str(problem))
            return self._wait(import_id, problem)
        try:
            await outcomes.fail(import_id, problem.code, problem.detail, None)
        except Exception:
            log.exception("nor could it be noted that it has failed", import_id=import_id)

    def _wait(self, import_id: str, problem: Problem) -> None:
        """Who looks on sees that it waits, for what, and how far it had come."""
        last = self._context.progress.get(import_id) or Progress("waiting", 0, 0, 0, 0, 0.0)
        self._context.progress[import_id] = replace(last, phase="waiting", rate=0.0, reason=problem.detail)

    async def _import(self, import_id: str, lease: Lease) -> None:
        outcomes = Outcomes(self._context, lease)
        begun = await outcomes.begin(import_id)
        if begun is None:
            return
        item, dataset = begun
        place = Workplace(self._context, item, dataset, lease.epoch)
        try:
            await self._work(place, item, outcomes)
        finally:
            await place.clear()

    async def _work(self, place: Workplace, item: Import, outcomes: Outcomes) -> None:
        """Check, pack and store, then say how it ended."""
        result: ImportResult | None = None
        tell = partial(self._tell, item, self._courses.setdefault(item.id, Course(place.passes)))
        try:
            request = await place.prepare(tell)
            result = await import_archive(request, partial(tell, place.passes - 1))
            if result.log:
                log.warning("an import's process said on its standard error", import_id=item.id, said=result.log)
            if result.packed is None:
                return await outcomes.fail(item.id, result.code, result.reason, result.report.as_json())
            last = self._context.progress.get(item.id) or Progress("storing", item.size, item.size, 0, 0, 0.0)
            tell(place.passes - 1, replace(last, phase="storing"))
            content = await place.store(result)
        except Unavailable:
            raise
        except (Problem, OSError) as error:
            problem = as_problem(error)
            report = result.report.as_json() if result is not None else None
            return await outcomes.fail(item.id, problem.code, problem.detail, report)
        return await outcomes.succeed(item.id, content, result.report.as_json(), place.sha256)

    def _tell(self, item: Import, course: Course, number: int, progress: Progress) -> None:
        """How far that pass over its content is."""
        before = course.overall
        self._context.progress[item.id] = course.at(number, progress)
        if course.overall > before:
            self._resting.went_on(item.id)
