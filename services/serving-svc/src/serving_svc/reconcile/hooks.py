"""What serving-svc does at the turns of its replicas' lives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from common.contracts.job import EndReason
from common.db.uow import UnitOfWork
from common.service import Kit
from common.workloads.workload import Phase, Workload
from serving_svc.domain.service import InferenceService
from serving_svc.settings import Settings
from serving_svc.settling import settle
from serving_svc.storage import SERVICES, log_key, note, one

_LAST_CHARACTERS = 2000

_FATAL = (EndReason.LAUNCH_FAILED, EndReason.STAGING_FAILED, EndReason.STORAGE_FULL)
"""Ends of what never ran: trying again at once would not help."""


_ON_PURPOSE = (EndReason.STOPPED_BY_USER, EndReason.PREEMPTED)


class ReplicaHooks:
    """`common.workloads` calls these; `wake` lets the loops look soon."""

    def __init__(self, kit: Kit, settings: Settings, wake: Callable[[], None]) -> None:
        self._kit = kit
        self._settings = settings
        self._wake = wake

    async def begin(self, uow: UnitOfWork, subject: str) -> None:
        """The service before its replicas. One that is deleted has none that move."""
        await SERVICES.find(uow.connection, subject)

    async def changed(self, uow: UnitOfWork, before: Workload | None, after: Workload) -> None:
        """A replica moved on: its service follows, in the same transaction."""
        if before is not None and before.outcome is None and after.outcome is not None:
            await self._ended(uow, after)
        elif (service := await SERVICES.find(uow.connection, after.subject)) is not None:
            await settle(uow, service)
        if after.phase == Phase.ENDED:
            await note(uow.connection, after.id, ended_at=uow.clock.now())
        uow.after_commit(self._wake)

    async def _ended(self, uow: UnitOfWork, workload: Workload) -> None:
        """It runs no more, or never will."""
        replica = await one(uow.connection, workload.id, workload)
        await note(uow.connection, workload.id, ready=False)
        service = await SERVICES.find(uow.connection, workload.subject)
        if service is None or replica is None:
            return
        if _was_wanted(service, workload) and replica.draining_at is None and replica.replace_by is None:
            why = replica.sick or _why(workload)
            fatal = workload.outcome is not None and workload.outcome.reason in _FATAL and not replica.ready_at
            lost = service.lost(replica, why, fatal, uow.clock.now(), self._settings.backoff)
            await settle(uow, service, lost)
        else:
            await settle(uow, service)

    async def observed(self, workload: Workload) -> None:
        """Readiness has a loop of its own, so that a replica that hangs delays nothing."""

    async def collect(self, workload: Workload) -> dict[str, Any]:
        """Keep its log, so that one can read why it ended."""
        runtime = self._kit.platform.runtime
        handle = workload.handle or {"workload": workload.id}
        key = log_key(workload.subject, workload.id)
        tail = Tail()
        await self._kit.platform.files.put(key, tail.through(runtime.logs(handle)))
        return {"log": key, "size": tail.size, "last": tail.text()}


class Tail:
    """Passes bytes on and remembers their end."""

    def __init__(self) -> None:
        self.size = 0
        self._end = b""

    async def through(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks."""
        async for chunk in chunks:
            self.size += len(chunk)
            self._end = (self._end + chunk)[-4 * _LAST_CHARACTERS :]
            yield chunk

    def text(self) -> str:
        """The last lines, at most so many characters."""
        return self._end.decode("utf-8", "replace")[-_LAST_CHARACTERS:]


def _was_wanted(service: InferenceService, workload: Workload) -> bool:
    """Whether nobody ended it on purpose: neither it nor its whole service, nor to make room for others."""
    asked = workload.stop is not None and workload.stop.reason in _ON_PURPOSE
    return service.replicas > 0 and not asked


def _why(workload: Workload) -> str:
    outcome = workload.outcome
    if outcome is None:
        return ""
    return outcome.detail or f"it ended ({outcome.reason.value.replace('_', ' ')})."
