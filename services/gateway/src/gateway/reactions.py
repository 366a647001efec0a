"""Everything the gateway hears: services for the data plane, and all events for the live stream.

One instance remembers what stands behind an address; what is kept in memory every instance hears for itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from common.contracts.service import (
    ServiceChanged,
    ServiceCreated,
    ServiceDeleted,
    ServiceScaled,
    ServiceSnapshot,
    ServiceStarted,
    ServiceStopped,
)
from common.db.inbox import Heard, Reactions
from common.db.readmodels import forget, recall_all, remember
from common.db.uow import UnitOfWork
from common.kernel.events import EVENT_TYPES, CloudEvent, EventData
from common.ports.bus import Broadcast
from gateway.context import Context
from gateway.dataplane.table import route_of
from gateway.domain.routing import GATEWAY

SERVICE = "service"

_SNAPSHOTS: tuple[type[EventData], ...] = (
    ServiceCreated,
    ServiceStarted,
    ServiceScaled,
    ServiceStopped,
    ServiceChanged,
)


def reactions(context: Context) -> Reactions:
    """Event to handlers."""
    on_service = _on_service(context)
    return {**{data: [on_service] for data in _SNAPSHOTS}, ServiceDeleted: [_on_service_deleted(context)]}


def _on_service(context: Context) -> Callable[[UnitOfWork, Any], Awaitable[None]]:
    async def on_service(uow: UnitOfWork, heard: Heard[ServiceSnapshot]) -> None:
        """Remember it, and what stands behind its address."""
        if await remember(uow, SERVICE, heard.envelope, heard.data):
            uow.after_commit(lambda: _hear(context, heard.envelope))

    return on_service


def _on_service_deleted(context: Context) -> Callable[[UnitOfWork, Any], Awaitable[None]]:
    async def on_service_deleted(uow: UnitOfWork, heard: Heard[ServiceDeleted]) -> None:
        """Its address is no more."""
        if await forget(uow, SERVICE, heard.envelope):
            uow.after_commit(lambda: _hear(context, heard.envelope))

    return on_service_deleted


def broadcasts(context: Context, missed: Callable[[], None]) -> list[Broadcast]:
    """What every instance hears for itself: all events for the live stream, and routes that another one remembered.

    `missed` is called when something may have passed by unheard.
    """
    kinds = {ServiceDeleted.type, *(data.type for data in _SNAPSHOTS)}

    def on_any_event(events: Sequence[CloudEvent]) -> None:
        for event in events:
            if event.type in kinds:
                _hear(context, event)
            context.live.publish(event)

    return [Broadcast(GATEWAY, "live", frozenset(EVENT_TYPES), on_any_event, missed)]


def _hear(context: Context, event: CloudEvent) -> None:
    """What stands behind an address from now on, in this process."""
    told = event.payload()
    route = route_of(told) if isinstance(told, ServiceSnapshot) else None
    context.routes.hear(event.subject, event.sequence, route)


async def recall_routes(context: Context) -> None:
    """The routes as they were last heard of by any instance."""
    async with context.kit.store.reading() as connection:
        known = await recall_all(connection, SERVICE, ServiceSnapshot)
    for subject, (sequence, service) in known.items():
        context.routes.hear(subject, sequence, None if service is None else route_of(service))
