"""Keeps every service at the number of replicas that is wanted: creates, drains, stops, replaces."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from common.contracts.job import EndReason
from common.db.leases import Lease, LeaseLost
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Unavailable
from common.kernel.ids import new_id
from common.loops import Loop
from common.workloads import storage
from serving_svc.context import Context
from serving_svc.domain.replicas import Decision, decide
from serving_svc.domain.service import InferenceService, ServiceState
from serving_svc.plans import asking_of, plan_of
from serving_svc.settling import settle
from serving_svc.storage import (
    SERVICES,
    add_replica,
    all_told,
    forget,
    live,
    log_key,
    note,
    one,
    outlived,
    services,
)

log = structlog.get_logger("replicas")

SWEEP_SECONDS = 60.0


class Keeper:
    """The loop's body. Every decision is a function of what is in the database, so a kill at any line is harmless."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._swept = 0.0
        self.loop = Loop("replicas", self.round, every=1.0)

    async def round(self, lease: Lease | None) -> None:
        """Look at every service that is not stopped."""
        store = self._context.kit.store
        async with store.reading() as connection:
            wanted = await SERVICES.where(connection, services.c.state != ServiceState.STOPPED)
            due = [service.id for service in wanted if await self._has_to_do(connection, service)]
        for service_id in due:
            try:
                await self._keep(service_id, lease)
            except Conflict as stale:
                log.info("service changed meanwhile, looked at again", service=service_id, reason=stale.detail)
                self.loop.wake()
            except (LeaseLost, Unavailable):
                raise
            except Exception:
                log.exception("keeping one service failed, the others go on", service=service_id)
        await self._sweep()

    async def _has_to_do(self, connection: AsyncConnection, service: InferenceService) -> bool:
        decision = await self._decide(connection, service)
        return not decision.nothing or service.settled(await live(connection, service.id)) != service

    async def _decide(self, connection: AsyncConnection, service: InferenceService) -> Decision:
        return decide(
            service.replicas,
            await live(connection, service.id),
            self._context.kit.store.clock.now(),
            deaths=service.deaths,
            retry_at=service.retry_at,
            drain_seconds=self._context.settings.drain_seconds,
            told=await all_told(connection, service.id),
            longest_pause=self._context.settings.retry_longest,
        )

    async def _keep(self, service_id: str, lease: Lease | None) -> None:
        async with self._context.kit.store.work() as uow:
            if lease is not None:
                await self._context.kit.leases.guard(uow.connection, lease)
            service = await SERVICES.find(uow.connection, service_id)
            if service is None:
                return
            decision = await self._decide(uow.connection, service)
            await self._act(uow, service, decision)
            await settle(uow, await SERVICES.get(uow.connection, service_id))
        if decision.drain:
            asyncio.get_running_loop().call_later(self._context.settings.drain_seconds + 0.01, self.loop.wake)

    async def _act(self, uow: UnitOfWork, service: InferenceService, decision: Decision) -> None:
        """One decision, in one transaction: what is drained is no longer told as an endpoint when this commits."""
        for replica_id in decision.drain:
            await note(uow.connection, replica_id, draining_at=uow.clock.now())
        await self._stop(uow, decision.stop)
        before = await storage.of_subject(uow.connection, service.id) if decision.create else []
        for _ in range(decision.create):
            replica_id = new_id("rep")
            await add_replica(uow.connection, replica_id, service.id, uow.clock.now())
            plan, asking = plan_of(service, self._context.settings), asking_of(service, before)
            await self._context.workloads.request(uow, replica_id, service.id, service.owner, plan, asking)

    async def _stop(self, uow: UnitOfWork, replica_ids: Sequence[str]) -> None:
        workloads, grace = self._context.workloads, self._context.settings.stop_seconds
        for replica_id in replica_ids:
            workload = await storage.get(uow.connection, replica_id)
            replica = await one(uow.connection, replica_id, workload)
            reason = EndReason.LOST if replica is not None and replica.sick else EndReason.STOPPED_BY_USER
            await workloads.ask_stop(uow, replica_id, reason, grace)

    async def _sweep(self) -> None:
        """Forget old ended replicas: first their logs, then themselves, so that nothing is left behind by a kill."""
        kit = self._context.kit
        if kit.store.clock.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = kit.store.clock.monotonic()
        async with kit.store.reading() as connection:
            old = await outlived(connection, self._context.settings.kept_replicas)
        for service_id, replica_id in old:
            await kit.platform.files.delete(log_key(service_id, replica_id))
        if old:
            async with kit.store.work() as uow:
                await forget(uow.connection, [replica_id for _, replica_id in old])
