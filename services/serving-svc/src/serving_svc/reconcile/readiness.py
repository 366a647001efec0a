"""Watches whether replicas answer: only those that do are routed to, and one that falls ill is replaced."""

from __future__ import annotations

import asyncio

import httpx2
import structlog

from common.db.leases import Lease, LeaseLost
from common.kernel.errors import Conflict
from common.loops import Loop
from common.workloads.workload import Phase
from serving_svc.context import Context
from serving_svc.settling import settle
from serving_svc.storage import SERVICES, Kept, note, watched

log = structlog.get_logger("readiness")


class Readiness:
    """Looks at every replica, often while something is starting and at leisure when all are ready.

    A replica that hangs delays no other: each is asked by a task of its own. Failures in a row are counted in memory:
    after a restart every replica has its full patience again.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}
        self.loop = Loop("readiness", self.round, every=context.settings.probe_running)

    async def round(self, lease: Lease | None) -> None:
        """Ask whoever is not being asked."""
        async with self._context.kit.store.reading() as connection:
            known = await watched(connection)
        there = [kept for kept in known if not kept.replica.leaving]
        for kept in there:
            if kept.replica.id not in self._asking and kept.workload.phase == Phase.RUNNING and kept.replica.address:
                task = asyncio.create_task(self._look(kept, lease), name=f"probe {kept.replica.id}")
                self._asking[kept.replica.id] = task
        self._failures = {kept.replica.id: self._failures.get(kept.replica.id, 0) for kept in there}
        settings = self._context.settings
        starting = any(not kept.replica.ready and kept.workload.phase == Phase.RUNNING for kept in there)
        self.loop.every = settings.probe_starting if starting else settings.probe_running

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, kept: Kept, lease: Lease | None) -> None:
        replica = kept.replica
        try:
            if fault := await self._fault(str(replica.address)):
                await self._bad(kept, fault, lease)
            else:
                self._failures[replica.id] = 0
                if not replica.ready:
                    await self._note(kept, lease, ready=True, ready_at=self._context.kit.store.clock.now())
        except (Conflict, LeaseLost) as stale:
            log.info("what was seen is not noted, it is looked at again", replica=replica.id, reason=str(stale))
        except Exception:
            log.exception("looking failed, will be tried again", replica=replica.id)
        finally:
            self._asking.pop(replica.id, None)

    async def _fault(self, address: str) -> str:
        """Why a replica is not ready; empty where it is."""
        settings = self._context.settings
        try:
            answer = await self._context.client.get(
                address.rstrip("/") + settings.health_path, timeout=settings.probe_timeout
            )
        except httpx2.TimeoutException:
            return f"{settings.health_path} did not answer within {settings.probe_timeout:g} s"
        except httpx2.HTTPError as error:
            return f"{settings.health_path} can't be reached ({type(error).__name__})"
        return "" if answer.is_success else f"{settings.health_path} answered {answer.status_code}"

    async def _bad(self, kept: Kept, fault: str, lease: Lease | None) -> None:
        """One more failure in a row: first nothing is sent to it, then it is replaced."""
        settings, replica = self._context.settings, kept.replica
        failures = self._failures[replica.id] = self._failures.get(replica.id, 0) + 1
        if replica.ready_at is None:
            if self._took_too_long(kept):
                sick = f"it was not ready {settings.start_seconds:g} s after its start: {fault}."
                await self._note(kept, lease, sick=sick)
        elif failures >= settings.replace_after and not replica.sick:
            await self._note(kept, lease, ready=False, sick=f"it fell ill: {fault}, {failures} times in a row.")
        elif failures >= settings.unready_after and replica.ready:
            await self._note(kept, lease, ready=False)

    def _took_too_long(self, kept: Kept) -> bool:
        started = kept.workload.started_at
        if started is None or kept.replica.sick:
            return False
        waited = (self._context.kit.store.clock.now() - started).total_seconds()
        return waited > self._context.settings.start_seconds

    async def _note(self, kept: Kept, lease: Lease | None, **values: object) -> None:
        """Remember it, and let the service follow, in one transaction."""
        kit = self._context.kit
        async with kit.store.work() as uow:
            if lease is not None:
                await kit.leases.guard(uow.connection, lease)
            service = await SERVICES.find(uow.connection, kept.workload.subject)  # before its replicas, as all do
            await note(uow.connection, kept.replica.id, **values)
            if service is not None:
                await settle(uow, service)
            uow.after_commit(self._context.wake)
        log.info("replica", replica=kept.replica.id, **{name: str(value) for name, value in values.items()})
