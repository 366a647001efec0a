"""What can be done with services: one function a verb, each within the caller's unit of work."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from common.contracts.model import ModelPublished
from common.contracts.service import ServiceCreated, ServiceDeleted
from common.contracts.shared import Visibility
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Fault, Forbidden, Invalid
from common.kernel.names import LONGEST_DESCRIPTION, LONGEST_NAME, description_faults, name_faults, raise_faults
from common.web.access import require_change
from common.web.identity import Principal
from serving_svc.domain.service import InferenceService, ServiceState
from serving_svc.settings import Settings
from serving_svc.settling import settle
from serving_svc.storage import SERVICES, note


async def create_from_model(uow: UnitOfWork, published: ModelPublished) -> None:
    """The service that a publication promised, stopped (row S1). It exists once, however often it is told."""
    if await SERVICES.find(uow.connection, published.service_id) is not None:
        return
    now = uow.clock.now()
    service = InferenceService(
        id=published.service_id,
        name=published.service_name[:LONGEST_NAME],
        description=published.description[:LONGEST_DESCRIPTION],
        owner=published.owner,
        purpose=published.purpose,
        inference=published.inference,
        model_id=published.id,
        model_name=published.name,
        model=published.manifest,
        lineage=published.lineage,
        created_at=now,
        updated_at=now,
    )
    await SERVICES.add(uow.connection, service)
    uow.emit(ServiceCreated(**service.facts()), subject=service.id, owner=service.owner)


async def changeable(uow: UnitOfWork, who: Principal, service_id: str) -> InferenceService:
    """The service, if the caller may change it; else NotFound or Forbidden."""
    service = await SERVICES.get(uow.connection, service_id)
    require_change(who, "service", service.id, service.owner, service.shared)
    return service


async def edit(uow: UnitOfWork, who: Principal, service_id: str, changes: dict[str, Any]) -> InferenceService:
    """Change name, description or visibility (row S4)."""
    before = await changeable(uow, who, service_id)
    faults = name_faults(changes.get("name", before.name))
    raise_faults("service", faults + description_faults(changes.get("description", before.description)))
    visibility = changes.get("visibility", before.visibility)
    if visibility != before.visibility and Visibility.PRESET in (visibility, before.visibility) and not who.is_admin:
        raise Forbidden("preset_admin_only", "Only an administrator may make a thing preset, or end that.")
    return await settle(uow, before, before.edited(changes))


async def start(uow: UnitOfWork, who: Principal, service_id: str, replicas: int, most: int) -> InferenceService:
    """Want that many replicas of a service that is stopped or failed (row S6)."""
    before = await changeable(uow, who, service_id)
    _check_number(replicas, most)
    return await settle(uow, before, _waiting_as(before.started(replicas), who))


async def scale(uow: UnitOfWork, who: Principal, service_id: str, replicas: int, most: int) -> InferenceService:
    """Want another number of replicas (row S8)."""
    before = await changeable(uow, who, service_id)
    _check_number(replicas, most)
    return await settle(uow, before, _waiting_as(before.scaled(replicas), who))


def _waiting_as(service: InferenceService, who: Principal) -> InferenceService:
    """Its replicas wait in the queue of the owner's groups, as they were when the owner last asked for replicas."""
    return replace(service, groups=who.groups) if who.id == service.owner else service


async def stop(uow: UnitOfWork, who: Principal, service_id: str) -> InferenceService:
    """Want none; the address stays (row S7). Stopping a stopped one is no error."""
    before = await changeable(uow, who, service_id)
    if before.state in (ServiceState.STOPPED, ServiceState.STOPPING):
        return before
    return await settle(uow, before, before.stopped())


async def deletable(uow: UnitOfWork, who: Principal, service_id: str) -> InferenceService:
    """The service, if it can be deleted now. Raises Conflict (`service_not_stopped`)."""
    service = await changeable(uow, who, service_id)
    if service.state != ServiceState.STOPPED:
        raise Conflict("service_not_stopped", f"{service.id} is {service.state}. Stop it first, then delete it.")
    return service


async def remove(uow: UnitOfWork, who: Principal, service_id: str) -> None:
    """Delete it and its address (row S5)."""
    service = await deletable(uow, who, service_id)
    await SERVICES.remove(uow.connection, service.id)
    uow.emit(ServiceDeleted(id=service.id), subject=service.id, owner=service.owner)


def _check_number(replicas: int, most: int) -> None:
    if not 1 <= replicas <= most:
        reason = f"1 to {most} replicas are possible, not {replicas}. To run none, stop the service."
        raise Invalid("bad_replicas", reason, faults=[Fault("replicas", reason)])


async def move(uow: UnitOfWork, replica_id: str, grace: float, settings: Settings) -> None:
    """Its node is drained: let another take its place, so that it is gone within `grace` seconds. One that is not
    this service's, or has ended, is nothing to do."""
    takes = settings.drain_seconds + settings.stop_seconds
    until = uow.clock.now() + timedelta(seconds=max(0.0, grace - takes))
    await note(uow.connection, replica_id, replace_by=until)
