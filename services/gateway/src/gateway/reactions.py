"""Everything the gateway hears: services for the data plane, and all events for the live stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
from common.db.inbox import Handler, Heard, Reactions
from common.db.readmodels import forget, recall_all, remember
from common.db.uow import UnitOfWork
from common.kernel.events import EVENT_TYPES, EventData
from gateway.context import Context
from gateway.dataplane.table import route_of

SERVICE = "service"


def reactions(context: Context) -> Reactions:
    """Event to handlers."""
    on_service, on_deleted, on_any = _on_service(context), _on_service_deleted(context), _on_any_event(context)
    own: dict[type[EventData], list[Handler]] = {
        ServiceCreated: [on_service],
        ServiceStarted: [on_service],
        ServiceScaled: [on_service],
        ServiceStopped: [on_service],
        ServiceChanged: [on_service],
        ServiceDeleted: [on_deleted],
    }
    return {data: [*own.get(data, ()), on_any] for data in EVENT_TYPES.values()}


def _on_service(context: Context) -> Callable[[UnitOfWork, Any], Awaitable[None]]:
    async def on_service(uow: UnitOfWork, heard: Heard[ServiceSnapshot]) -> None:
        """Remember it, and what stands behind its address."""
        if await remember(uow, SERVICE, heard.envelope, heard.data):
            uow.after_commit(lambda: context.routes.set(route_of(heard.data)))

    return on_service


def _on_service_deleted(context: Context) -> Callable[[UnitOfWork, Any], Awaitable[None]]:
    async def on_service_deleted(uow: UnitOfWork, heard: Heard[ServiceDeleted]) -> None:
        """Its address is no more."""
        if await forget(uow, SERVICE, heard.envelope):
            uow.after_commit(lambda: context.routes.drop(heard.envelope.subject))

    return on_service_deleted


def _on_any_event(context: Context) -> Callable[[UnitOfWork, Any], Awaitable[None]]:
    async def on_any_event(uow: UnitOfWork, heard: Heard[EventData]) -> None:
        """Tell whoever listens."""
        uow.after_commit(lambda: context.live.publish(heard.envelope))

    return on_any_event


async def recall_routes(context: Context) -> None:
    """At start: the routes as they were last heard of."""
    async with context.kit.store.reading() as connection:
        known = await recall_all(connection, SERVICE, ServiceSnapshot)
    for service in known:
        context.routes.set(route_of(service))
