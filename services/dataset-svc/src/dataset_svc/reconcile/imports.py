"""The loop of imports: starts what is due, stops what was cancelled, and continues after a kill.

Each import is a task of this process over a child process; what it came to is applied in one transaction, guarded by
the lease, so nothing is ever half published: the files are stored first, then version and events commit together.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Collection
from dataclasses import asdict, replace

import structlog

from common.db.leases import Lease, LeaseLost
from common.kernel.errors import Conflict, Problem, Unavailable
from common.web.problems import as_problem
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.imports import Import, due
from dataset_svc.importing import ImportResult, Progress, import_archive
from dataset_svc.reconcile.outcomes import Outcomes
from dataset_svc.reconcile.workplace import Workplace, left_behind

log = structlog.get_logger("imports")


class Imports:
    """The imports that this process works at. `round` is the body of a leased loop."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tasks: dict[str, asyncio.Task[None]] = {}
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
        for ended in self._context.progress.keys() - ids:
            del self._context.progress[ended]
        await self._note_progress()
        for item in due(active, self._tasks.keys(), self._context.settings.imports_at_once):
            task = asyncio.create_task(self._take(item.id, lease), name=f"import {item.id}")
            self._tasks[item.id] = task

    def lose(self) -> None:
        """Another instance may work at them from now on."""
        self._lease = None
        for task in self._tasks.values():
            task.cancel()
        self._context.progress.clear()

    async def stop(self) -> None:
        """Stop working; whoever holds the lease next begins these imports again."""
        await self._drop(set(self._tasks))
        self._context.progress.clear()

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
            for import_id, progress in list(self._context.progress.items()):
                await storage.save_progress(uow.connection, import_id, asdict(progress))

    async def _take(self, import_id: str, lease: Lease) -> None:
        """Work at one import. What can't be done now is left as it is: the next round takes it again."""
        try:
            await self._import(import_id, lease)
        except (LeaseLost, Unavailable, Conflict) as reason:
            log.warning("import waits", import_id=import_id, reason=str(reason))
            await self._wait(import_id)
        except Exception:
            log.exception("import could not be ended, will be begun again", import_id=import_id)
            await self._wait(import_id)
        finally:
            self._tasks.pop(import_id, None)
            self._context.ring()

    async def _wait(self, import_id: str) -> None:
        """Before it is begun again; who looks on sees that it waits, and how far it had come."""
        last = self._context.progress.get(import_id)
        if last is not None:
            self._context.progress[import_id] = replace(last, phase="waiting", rate=0.0)
        await self._context.store.clock.sleep(1.0)

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
        try:
            request = await place.prepare(lambda progress: self._tell(item, progress))
            result = await import_archive(request, lambda progress: self._tell(item, progress))
            if result.packed is None:
                return await outcomes.fail(item.id, result.code, result.reason, result.report.as_json())
            last = self._context.progress.get(item.id) or Progress("storing", item.size, item.size, 0, 0, 0.0)
            self._tell(item, replace(last, phase="storing"))
            content = await place.store(result)
        except Unavailable:
            raise
        except (Problem, OSError) as error:
            problem = as_problem(error)
            report = result.report.as_json() if result is not None else None
            return await outcomes.fail(item.id, problem.code, problem.detail, report)
        return await outcomes.succeed(item.id, content, result.report.as_json(), place.sha256)

    def _tell(self, item: Import, progress: Progress) -> None:
        """How far it is; one that is begun again has come as far as it had before until it is beyond that."""
        last = self._context.progress.get(item.id) or progress
        further = replace(progress, bytes=max(progress.bytes, last.bytes), files=max(progress.files, last.files))
        self._context.progress[item.id] = further
