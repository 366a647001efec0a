"""HTTP in and out: base environments."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from common.db.aggregates import missing
from common.web.access import Permission, may_see, permits, visible
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller
from common.web.paging import PageOf, Paging
from notebook_svc import usecases
from notebook_svc.context import Ctx
from notebook_svc.schemas import EnvironmentIn, EnvironmentOut, EnvironmentPatch, VisibilityIn
from notebook_svc.storage import ENVIRONMENTS, environments

router = APIRouter(tags=["environments"])


@router.post("/environments", status_code=201, response_model=EnvironmentOut, **permits(Permission.USER))
async def create(body: EnvironmentIn, who: Caller, context: Ctx, key: IdempotencyKey = None) -> Response:
    """Create a base environment."""

    async def work(uow: Any) -> EnvironmentOut:
        return EnvironmentOut.of(await usecases.create(uow, who, context.kinds, **body.fields()))

    return await create_once(context.kit.store, who, key, body, work)


@router.get("/environments", **permits(Permission.USER))
async def list_environments(
    who: Caller,
    context: Ctx,
    page: Paging,
    q: Annotated[str | None, Query(max_length=100, description="In the name")] = None,
    framework: str | None = None,
    device: str | None = None,
    visibility: str | None = None,
) -> PageOf[EnvironmentOut]:
    """Mine, and what others share."""
    same = {"framework": framework, "device": device, "visibility": visibility}
    wanted = [visible(who, environments)]
    wanted += [environments.c[column] == value for column, value in same.items() if value is not None]
    if q is not None:
        wanted.append(environments.c.name.icontains(q, autoescape=True))
    async with context.kit.store.reading() as connection:
        found = await ENVIRONMENTS.page(connection, page, *wanted)
    return PageOf(items=[EnvironmentOut.of(item) for item in found.items], next_cursor=found.next_cursor)


@router.get("/environments/{environment}", **permits(Permission.SEE))
async def show(environment: str, who: Caller, context: Ctx) -> EnvironmentOut:
    """One base environment."""
    async with context.kit.store.reading() as connection:
        found = await ENVIRONMENTS.get(connection, environment)
    if not may_see(who, found.owner, found.shared):
        raise missing("environment", environment)
    return EnvironmentOut.of(found)


@router.patch("/environments/{environment}", **permits(Permission.CHANGE))
async def edit(environment: str, body: EnvironmentPatch, who: Caller, context: Ctx) -> EnvironmentOut:
    """Change what it says."""
    async with context.kit.store.work(actor=who.id) as uow:
        return EnvironmentOut.of(await usecases.edit(uow, who, context.kinds, environment, **body.changes()))


@router.put("/environments/{environment}/visibility", **permits(Permission.CHANGE))
async def set_visibility(environment: str, body: VisibilityIn, who: Caller, context: Ctx) -> EnvironmentOut:
    """Say who may see and use it."""
    async with context.kit.store.work(actor=who.id) as uow:
        return EnvironmentOut.of(await usecases.edit(uow, who, context.kinds, environment, visibility=body.visibility))


@router.delete("/environments/{environment}", status_code=204, **permits(Permission.CHANGE))
async def delete(environment: str, who: Caller, context: Ctx) -> Response:
    """Delete it."""
    async with context.kit.store.work(actor=who.id) as uow:
        await usecases.remove(uow, who, environment)
    return Response(status_code=204)
