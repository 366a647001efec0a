"""A service's next state and the event that tells of it, in the transaction of whatever changed."""

from __future__ import annotations

from common.contracts.service import (
    ServiceChanged,
    ServiceScaled,
    ServiceSnapshot,
    ServiceStarted,
    ServiceStopped,
)
from common.db.uow import UnitOfWork
from serving_svc.domain.service import InferenceService, ServiceState
from serving_svc.storage import SERVICES, live


async def settle(
    uow: UnitOfWork, before: InferenceService, changed: InferenceService | None = None
) -> InferenceService:
    """Save what follows from `changed` (or `before`) and the replicas there are, and tell it if others care."""
    after = (changed or before).settled(await live(uow.connection, before.id))
    if after == before:
        return before
    saved = await SERVICES.save(uow.connection, after, now=uow.clock.now())
    if saved.facts() != before.facts():
        uow.emit(_event(before, saved), subject=saved.id, owner=saved.owner)
    return saved


def _event(before: InferenceService, after: InferenceService) -> ServiceSnapshot:
    """The event that says best what changed; each is the whole snapshot."""
    kind: type[ServiceSnapshot] = ServiceChanged
    if after.state != before.state and after.state == ServiceState.RUNNING:
        kind = ServiceStarted
    elif after.state != before.state and after.state == ServiceState.STOPPED:
        kind = ServiceStopped
    elif after.state == before.state and after.replicas != before.replicas:
        kind = ServiceScaled
    return kind(**after.facts())
