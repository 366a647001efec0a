"""HTTP in and out: inference services and their replicas."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import ColumnElement

from common.contracts.service import ServiceSnapshot
from common.kernel.errors import NotFound
from common.web.access import Permission, permits, require_change, require_see, visible
from common.web.identity import Caller, Principal
from common.web.paging import PageOf, Paging
from common.workloads.workload import Phase
from serving_svc import usecases
from serving_svc.calling import call, require_interface
from serving_svc.context import Context, Ctx
from serving_svc.domain.requests import build_request, shown
from serving_svc.domain.service import InferenceService, ServiceState
from serving_svc.schemas import (
    ReplicaOut,
    ReplicasIn,
    ReplicasOut,
    ScaleIn,
    ServiceOut,
    ServicePatch,
    TestIn,
    TestOut,
    note_of,
)
from serving_svc.storage import SERVICES, Kept, forget, kept, log_key, services

router = APIRouter(tags=["services"])

LOG_BYTES = 1 << 20
"""Bytes of a log that one answer holds at the most."""


@router.get("/services", **permits(Permission.USER))
async def list_services(
    who: Caller,
    context: Ctx,
    page: Paging,
    q: Annotated[str | None, Query(max_length=100, description="In the name")] = None,
    state: str | None = None,
    visibility: str | None = None,
    owner: str | None = None,
    model_id: str | None = None,
) -> PageOf[ServiceOut]:
    """Mine, and what others share."""
    same = {"state": state, "visibility": visibility, "model_id": model_id}
    wanted: list[ColumnElement[bool]] = [visible(who, services)]
    wanted += [services.c[column] == value for column, value in same.items() if value is not None]
    if owner is not None:
        wanted.append(services.c.owner == (who.id if owner == "me" else owner))
    if q is not None:
        wanted.append(services.c.name.icontains(q, autoescape=True))
    async with context.kit.store.reading() as connection:
        found = await SERVICES.page(connection, page, *wanted)
    return PageOf(items=[ServiceOut.of(item) for item in found.items], next_cursor=found.next_cursor)


@router.get("/services/{service}", **permits(Permission.SEE))
async def show(service: str, who: Caller, context: Ctx) -> ServiceOut:
    """One service, with what it waits for."""
    return await _told(context, await _seen(context, who, service))


@router.get("/services/{service}/snapshot", **permits(Permission.SERVICE))
async def snapshot(service: str, context: Ctx) -> ServiceSnapshot:
    """All that the data plane needs of it, when it has not heard the latest yet."""
    async with context.kit.store.reading() as connection:
        return ServiceSnapshot(**(await SERVICES.get(connection, service)).facts())


@router.patch("/services/{service}", **permits(Permission.CHANGE))
async def edit(service: str, body: ServicePatch, who: Caller, context: Ctx) -> ServiceOut:
    """Change name, description or visibility."""
    async with context.kit.store.work(actor=who.id) as uow:
        after = await usecases.edit(uow, who, service, body.changes())
    return await _told(context, after)


@router.delete("/services/{service}", status_code=204, **permits(Permission.CHANGE))
async def delete(service: str, who: Caller, context: Ctx) -> Response:
    """Delete it and its address; it must be stopped."""
    async with context.kit.store.work(actor=who.id) as uow:
        await usecases.deletable(uow, who, service)
        replicas = [replica.replica.id for replica in await kept(uow.connection, service)]
    for replica_id in replicas:
        await context.kit.platform.files.delete(log_key(service, replica_id))
    async with context.kit.store.work(actor=who.id) as uow:
        await usecases.remove(uow, who, service)
        await forget(uow.connection, replicas)
    return Response(status_code=204)


@router.post("/services/{service}/start", status_code=202, **permits(Permission.CHANGE))
async def start(service: str, who: Caller, context: Ctx, body: ReplicasIn | None = None) -> ServiceOut:
    """Start that many replicas."""
    wanted = (body or ReplicasIn()).replicas
    async with context.kit.store.work(actor=who.id) as uow:
        after = await usecases.start(uow, who, service, wanted, context.settings.max_replicas)
        uow.after_commit(context.wake)
    return await _told(context, after)


@router.post("/services/{service}/scale", status_code=202, **permits(Permission.CHANGE))
async def scale(service: str, body: ScaleIn, who: Caller, context: Ctx) -> ServiceOut:
    """Change the number of replicas while it runs."""
    async with context.kit.store.work(actor=who.id) as uow:
        after = await usecases.scale(uow, who, service, body.replicas, context.settings.max_replicas)
        uow.after_commit(context.wake)
    return await _told(context, after)


@router.post("/services/{service}/stop", status_code=202, **permits(Permission.CHANGE))
async def stop(service: str, who: Caller, context: Ctx) -> ServiceOut:
    """No replica any more; the address stays."""
    async with context.kit.store.work(actor=who.id) as uow:
        after = await usecases.stop(uow, who, service)
        uow.after_commit(context.wake)
    return await _told(context, after)


@router.post("/services/{service}/test", **permits(Permission.SEE))
async def try_out(service: str, who: Caller, context: Ctx, body: TestIn | None = None) -> TestOut:
    """Call it once, with these inputs or with the interface's test values."""
    found = await _seen(context, who, service)
    request = build_request(require_interface(found), body.inputs if body else None)
    answer = await call(context, found, request)
    return TestOut(
        status=answer.status,
        latency_ms=answer.latency_ms,
        replica=answer.replica,
        request=shown(service, request),
        content_type=answer.content_type,
        response=answer.body,
        truncated=answer.truncated,
    )


@router.get("/services/{service}/replicas", **permits(Permission.CHANGE))
async def list_replicas(service: str, who: Caller, context: Ctx) -> ReplicasOut:
    """Its replicas, newest first."""
    await _changed_by(context, who, service)
    async with context.kit.store.reading() as connection:
        found = await kept(connection, service)
    progress = await context.workloads.progress_of([item.replica.id for item in found])
    return ReplicasOut(items=[ReplicaOut.of(item, progress.get(item.replica.id)) for item in reversed(found)])


@router.get("/services/{service}/replicas/{replica}/log", **permits(Permission.CHANGE))
async def replica_log(
    service: str,
    replica: str,
    who: Caller,
    context: Ctx,
    offset: Annotated[int, Query(ge=0, description="Bytes to leave out at the start")] = 0,
) -> Response:
    """The log of a replica from `offset` on; `X-Next-Offset` says where the next part begins."""
    await _changed_by(context, who, service)
    async with context.kit.store.reading() as connection:
        found = next((item for item in await kept(connection, service) if item.replica.id == replica), None)
    if found is None:
        raise NotFound("replica_not_found", f"{service} has no replica {replica}, or it ended long ago.")
    content = await _log_part(context, found, service, offset)
    headers = {"X-Next-Offset": str(offset + len(content)), "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type="text/plain; charset=utf-8", headers=headers)


async def _log_part(context: Context, found: Kept, service: str, offset: int) -> bytes:
    workload, platform = found.workload, context.kit.platform
    if "log" in workload.result:
        size = int(workload.result["size"])
        if offset >= size:
            return b""
        return await platform.files.read(log_key(service, workload.id), offset, min(size, offset + LOG_BYTES))
    if workload.handle is None or workload.phase == Phase.ENDED:
        return b""
    content = bytearray()
    async for chunk in platform.runtime.logs(workload.handle, offset):
        content += chunk
        if len(content) >= LOG_BYTES:
            break
    return bytes(content[:LOG_BYTES])


async def _seen(context: Context, who: Principal, service_id: str) -> InferenceService:
    async with context.kit.store.reading() as connection:
        service = await SERVICES.get(connection, service_id)
    require_see(who, "service", service.id, service.owner, service.shared)
    return service


async def _changed_by(context: Context, who: Principal, service_id: str) -> None:
    """Raises unless the caller may change it: addresses and logs are the owner's own."""
    async with context.kit.store.reading() as connection:
        service = await SERVICES.get(connection, service_id)
    require_change(who, "service", service.id, service.owner, service.shared)


async def _told(context: Context, service: InferenceService) -> ServiceOut:
    """With what its replicas wait for."""
    if service.state == ServiceState.STOPPED or len(service.endpoints) >= service.replicas > 0:
        return ServiceOut.of(service)
    async with context.kit.store.reading() as connection:
        found = await kept(connection, service.id)
    pending = [item for item in found if item.workload.phase != Phase.ENDED and not item.replica.routed]
    progress = await context.workloads.progress_of([item.replica.id for item in pending])
    notes = [note_of(item, progress.get(item.replica.id)) for item in pending]
    return ServiceOut.of(service, f"Replica {pending[0].replica.id}: {notes[0]}" if pending else "")
