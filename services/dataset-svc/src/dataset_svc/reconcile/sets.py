"""The loop of formatted sets: builds what was ordered, removes what was deleted or failed, continues after a kill.

A set is built in a folder of this machine and stored whole, its list of files last; what became of it is applied in a
transaction that only the holder of the lease can make. So a set is there whole or not at all, and building it again
gives the same files.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import structlog

from common.db.holds import holders, release_hold
from common.db.leases import Lease, LeaseLost
from common.kernel.errors import Problem, Unavailable
from common.web.problems import as_problem
from dataset_svc import set_storage, storage
from dataset_svc.context import Context
from dataset_svc.domain.formatted import OPEN, FormattedSet, SetState
from dataset_svc.reconcile.building import Built, build, prefix_of
from dataset_svc.reconcile.resting import Resting
from dataset_svc.reconcile.scratch import Scratch
from dataset_svc.sets import RAW
from dataset_svc.storage import GONE, SETS

log = structlog.get_logger("sets")


class Sets:
    """The sets that this process builds. `round` is the body of a leased loop."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, float] = {}
        self._resting = Resting(context.settings.source_seconds, context.store.clock)
        self._lease: Lease | None = None
        root = context.scratch.with_name(f"{context.scratch.name}-sets")
        self._scratch = Scratch(root, context.kit.platform.instance)
        self.wake: Callable[[], None] = lambda: None

    async def round(self, lease: Lease | None) -> None:
        """Bring what is done into line with what is wanted; returns at once, the work goes on in tasks."""
        assert lease is not None, "the loop of formatted sets is leased"
        if lease != self._lease:
            await self.stop()
            await asyncio.to_thread(self._scratch.open)
            self._lease = lease
        async with self._context.store.reading() as connection:
            wanted = await set_storage.open_sets(connection)
        for gone in self._tasks.keys() - {item.id for item in wanted}:
            self._tasks[gone].cancel()
        await self._note_progress()
        ids = {item.id for item in wanted}
        self._resting.keep(ids)
        free = self._context.settings.sets_at_once - len(self._tasks)
        busy = {*self._tasks, *self._resting.among(ids)}
        for item in [item for item in wanted if item.id not in busy][: max(free, 0)]:
            self._tasks[item.id] = asyncio.create_task(self._take(item.id, lease), name=f"set {item.id}")
        await self._remove()

    def lose(self) -> None:
        """Another instance may build from now on."""
        self._lease = None
        self._resting.keep()
        for task in self._tasks.values():
            task.cancel()

    async def stop(self) -> None:
        """Stop building; whoever holds the lease next begins these sets again."""
        self._resting.keep()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop for good."""
        await self.stop()
        await asyncio.to_thread(self._scratch.close)

    async def _note_progress(self) -> None:
        """For those who ask another instance. Each is locked alone: who deletes a set locks it and its complement, and
        two who have one of both and want the other wait in a circle."""
        for set_id, progress in list(self._progress.items()):
            async with self._context.store.work() as uow:
                await set_storage.save_set_progress(uow.connection, set_id, progress)

    async def _take(self, set_id: str, lease: Lease) -> None:
        """Build one. What can't be done now is left as it is: a later round takes it again."""
        folder = self._scratch.folder / f"{set_id}.{lease.epoch}"
        try:
            await self._build(set_id, lease, folder)
        except LeaseLost as reason:
            log.warning("formatted set is another instance's", set_id=set_id, reason=str(reason))
        except Problem as problem:
            await self._in_vain(set_id, lease, problem)
        except Exception as error:
            log.exception("formatted set could not be ended", set_id=set_id)
            await self._in_vain(set_id, lease, as_problem(error))
        finally:
            await self._over(set_id, folder)

    async def _over(self, set_id: str, folder: Path) -> None:
        """Let the next try begin, in the same folder, once that is gone."""
        try:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        finally:
            self._tasks.pop(set_id, None)
            self._progress.pop(set_id, None)
            self.wake()

    async def _in_vain(self, set_id: str, lease: Lease, problem: Problem) -> None:
        """It is tried again after a rest, or has failed for good; its owner is told either."""
        try:
            if self._resting.failed(set_id, problem):
                await self._fail(set_id, lease, problem)
            else:
                log.warning("formatted set waits", set_id=set_id, reason=str(problem))
                await self._apply(set_id, lease, lambda item: item.waits(problem.detail))
        except (Problem, LeaseLost) as reason:
            log.warning("nor could that be noted", set_id=set_id, reason=str(reason))
        except Exception:
            log.exception("nor could that be noted", set_id=set_id)

    async def _fail(self, set_id: str, lease: Lease, problem: Problem) -> None:
        now = self._context.store.clock.now()
        await self._apply(set_id, lease, lambda item: item.failed(problem.code, problem.detail, now))

    async def _build(self, set_id: str, lease: Lease, folder: Path) -> None:
        item = await self._apply(set_id, lease, lambda item: item.begun())
        if item is None:
            return

        def tell(progress: float) -> None:
            self._progress[set_id] = progress

        try:
            built = await build(self._context, item, folder, tell)
        except Unavailable:
            raise
        except (Problem, OSError) as error:
            await self._fail(set_id, lease, as_problem(error))
        else:
            await self._succeed(set_id, lease, built)

    async def _succeed(self, set_id: str, lease: Lease, built: Built) -> None:
        now = self._context.store.clock.now()

        def done(item: FormattedSet) -> FormattedSet:
            return item.succeeded(built.manifest, built.classes, built.records, now, built.annotations)

        await self._apply(set_id, lease, done)

    async def _apply(
        self, set_id: str, lease: Lease, change: Callable[[FormattedSet], FormattedSet]
    ) -> FormattedSet | None:
        """Store a change under the lease; None where it has ended or was deleted meanwhile. Raises LeaseLost."""
        async with self._context.store.work() as uow:
            await self._context.kit.leases.guard(uow.connection, lease)
            item = await SETS.get(uow.connection, set_id)
            if item.state not in OPEN:
                return None
            changed = change(item)
            if not _needs_dataset(changed):
                await release_hold(uow.connection, item.origin.dataset_id, item.id)
            return await SETS.save(uow.connection, changed, now=uow.clock.now())

    async def _remove(self) -> None:
        """Remove the files of deleted and failed sets that nobody holds, and let go of their datasets."""
        async with self._context.store.reading() as connection:
            useless = await set_storage.useless_sets_with_files(connection)
        for item in useless:
            if item.id not in self._tasks and await self._may_go(item):
                await self._delete_files(item)

    async def _may_go(self, item: FormattedSet) -> bool:
        """Whether nobody holds the files; from then on nobody can."""
        async with self._context.store.work() as uow:
            await SETS.get(uow.connection, item.id)
            if await holders(uow.connection, item.id):
                return False
            await storage.mark_files(uow.connection, storage.formatted_sets, item.id, storage.GOING)
        return True

    async def _delete_files(self, item: FormattedSet) -> None:
        keys = [info.key async for info in self._context.files.list(f"{prefix_of(item)}/")]
        for key in sorted(keys, key=lambda key: not key.endswith("/index")):
            await self._context.files.delete(key)
        async with self._context.store.work() as uow:
            await release_hold(uow.connection, item.origin.dataset_id, item.id)
            await storage.mark_files(uow.connection, storage.formatted_sets, item.id, GONE)
        log.info("files of a formatted set removed", set_id=item.id, state=str(item.state))


def _needs_dataset(item: FormattedSet) -> bool:
    """Whether it is over its dataset's files: until it is built, and a raw one ever after; never one that failed."""
    return item.state in OPEN or (item.state == SetState.READY and item.format == RAW)
