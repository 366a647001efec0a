"""Named resource specs: what they mean, and administrators who say so."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from common.kernel.errors import Fault
from common.kernel.names import raise_faults
from common.web.access import Permission, permits
from common.web.identity import Caller
from train_svc.context import Ctx
from train_svc.domain.specs import spec_faults
from train_svc.resource_specs import say, unsay
from train_svc.schemas.specs import SpecIn, SpecOut, SpecsOut

router = APIRouter(tags=["capacity"])

Name = Annotated[str, Path(pattern=r"^[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?$")]
Where = Annotated[str | None, Query(max_length=253, description="One cluster; without it, wherever that has no own")]


@router.get("/resource-specs", **permits(Permission.USER))
async def list_specs(context: Ctx, who: Caller) -> SpecsOut:
    """Every named spec, and what it means on each cluster."""
    async with context.kit.store.reading() as connection:
        await context.specs.refresh(connection)
    grounds = context.house.grounds
    return SpecsOut(items=[SpecOut.of(one, grounds) for one in context.specs.specs.named.values()])


@router.put("/resource-specs/{name}", **permits(Permission.ADMIN))
async def put_spec(context: Ctx, who: Caller, name: Name, body: SpecIn, cluster: Where = None) -> SpecOut:
    """Say what a name means from now on; what was asked for before keeps what it got."""
    grounds = context.house.grounds
    spec = body.asked(grounds)
    faults = list(spec_faults(spec, grounds.names.values()))
    if cluster is not None and cluster not in grounds.clusters:
        there_are = ", ".join(grounds.clusters) or "none"
        faults.append(Fault("cluster", f"There is no cluster {cluster!r}; there are {there_are}."))
    raise_faults("resource spec", faults)
    async with context.kit.store.work(actor=who.id) as uow:
        said = await say(uow, name, cluster, spec, who.name or who.id)
        await context.specs.refresh(uow.connection)
    return SpecOut.of(said, context.house.grounds)


@router.delete("/resource-specs/{name}", status_code=204, **permits(Permission.ADMIN))
async def delete_spec(context: Ctx, who: Caller, name: Name, cluster: Where = None) -> Response:
    """Take back what was said by the API: what is built in, or a setting, holds again."""
    async with context.kit.store.work(actor=who.id) as uow:
        await unsay(uow, name, cluster, context.settings)
        await context.specs.refresh(uow.connection)
    return Response(status_code=204)
