"""HTTP in and out: algorithms and engines."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import ColumnElement

from algo_svc import builds, usecases
from algo_svc.context import Context, Ctx
from algo_svc.domain.algorithm import Algorithm
from algo_svc.domain.engine import Engine
from algo_svc.packages import code_digest, read_package, write_package
from algo_svc.schemas import (
    AlgorithmIn,
    AlgorithmOut,
    AlgorithmPatch,
    EngineIn,
    EngineOut,
    VisibilityIn,
)
from algo_svc.storage import ALGORITHMS, ENGINES, algorithms, engines
from common.contracts.algorithm import AlgorithmSnapshot
from common.contracts.shared import ManifestRef
from common.kernel.errors import NotFound, TooLarge
from common.manifests import open_entry, read, store_bytes
from common.web.access import Permission, permits, require_change, require_see, visible
from common.web.idempotency import IdempotencyKey, create_once
from common.web.identity import Caller
from common.web.paging import PageOf, Paging

algorithm_routes = APIRouter(tags=["algorithms"])
engine_routes = APIRouter(tags=["engines"])

PartName = Annotated[usecases.Part, Path(description="training or inference")]


@algorithm_routes.post("/algorithms", status_code=201, response_model=AlgorithmOut, **permits(Permission.USER))
async def register(body: AlgorithmIn, who: Caller, context: Ctx, key: IdempotencyKey = None) -> Response:
    """Register an algorithm. It is a draft until its code is there."""
    new = usecases.NewAlgorithm(
        body.name,
        body.description,
        body.purpose,
        body.formats,
        body.training.part(),
        body.inference.part() if body.inference else None,
        body.visibility,
    )

    async def work(uow: Any) -> AlgorithmOut:
        return AlgorithmOut.of(await usecases.register(uow, who, new, context.settings.more_purposes))

    return await create_once(context.kit.store, who, key, body, work)


@algorithm_routes.get("/algorithms", **permits(Permission.USER))
async def list_algorithms(
    who: Caller,
    context: Ctx,
    page: Paging,
    q: Annotated[str | None, Query(max_length=100, description="In the name")] = None,
    name: Annotated[str | None, Query(max_length=100, description="Exactly the name")] = None,
    purpose: str | None = None,
    visibility: str | None = None,
    online: bool | None = None,
    state: str | None = None,
    owner: str | None = None,
) -> PageOf[AlgorithmOut]:
    """Mine, and what others share."""
    same = {"name": name, "purpose": purpose, "visibility": visibility, "online": online, "state": state}
    wanted: list[ColumnElement[bool]] = [visible(who, algorithms)]
    wanted += [algorithms.c[column] == value for column, value in same.items() if value is not None]
    if owner is not None:
        wanted.append(algorithms.c.owner == (who.id if owner == "me" else owner))
    if q is not None:
        wanted.append(algorithms.c.name.icontains(q, autoescape=True))
    async with context.kit.store.reading() as connection:
        found = await ALGORITHMS.page(connection, page, *wanted)
    return PageOf(items=[AlgorithmOut.of(item) for item in found.items], next_cursor=found.next_cursor)


@algorithm_routes.get("/algorithms/{algorithm}", **permits(Permission.SEE))
async def show(algorithm: str, who: Caller, context: Ctx) -> AlgorithmOut:
    """One algorithm."""
    return AlgorithmOut.of(await _seen(context, who, algorithm))


@algorithm_routes.patch("/algorithms/{algorithm}", **permits(Permission.CHANGE))
async def edit(algorithm: str, body: AlgorithmPatch, who: Caller, context: Ctx) -> AlgorithmOut:
    """Change what it says; a change of what runs gives it a new revision."""
    async with context.kit.store.work(actor=who.id) as uow:
        after = await usecases.edit(uow, who, algorithm, body.changes(), context.settings.more_purposes)
    return AlgorithmOut.of(after)


@algorithm_routes.delete("/algorithms/{algorithm}", status_code=204, **permits(Permission.CHANGE))
async def delete(algorithm: str, who: Caller, context: Ctx) -> Response:
    """Delete it; it must be offline."""
    async with context.kit.store.work(actor=who.id) as uow:
        await usecases.remove(uow, who, algorithm)
    return Response(status_code=204)


@algorithm_routes.post("/algorithms/{algorithm}/online", **permits(Permission.CHANGE))
async def put_online(algorithm: str, who: Caller, context: Ctx) -> AlgorithmOut:
    """Let it be trained with."""
    async with context.kit.store.work(actor=who.id) as uow:
        return AlgorithmOut.of(await usecases.put_online(uow, who, algorithm))


@algorithm_routes.post("/algorithms/{algorithm}/offline", **permits(Permission.CHANGE))
async def take_offline(algorithm: str, who: Caller, context: Ctx) -> AlgorithmOut:
    """Let nobody choose it any more."""
    async with context.kit.store.work(actor=who.id) as uow:
        return AlgorithmOut.of(await usecases.take_offline(uow, who, algorithm))


@algorithm_routes.put("/algorithms/{algorithm}/visibility", **permits(Permission.CHANGE))
async def set_visibility(algorithm: str, body: VisibilityIn, who: Caller, context: Ctx) -> AlgorithmOut:
    """Say who may see and use it while it is online."""
    async with context.kit.store.work(actor=who.id) as uow:
        return AlgorithmOut.of(await usecases.set_visibility(uow, who, algorithm, body.visibility))


@algorithm_routes.put("/algorithms/{algorithm}/code/{part}", **permits(Permission.CHANGE))
async def put_code(algorithm: str, part: PartName, request: Request, who: Caller, context: Ctx) -> AlgorithmOut:
    """Give a part its code: a small zip as the body."""
    async with context.kit.store.reading() as connection:
        known = await ALGORITHMS.get(connection, algorithm)
    require_change(who, "algorithm", known.id, known.owner, known.shared)
    usecases.part_of(known, part)
    packed = await _body(request, context.settings.package_bytes)
    code = await asyncio.to_thread(read_package, packed, context.limits)
    prefix = f"algorithms/{algorithm}/code/{await asyncio.to_thread(code_digest, code)}"
    ref = await store_bytes(context.kit.platform.files, code, prefix)
    async with context.kit.store.work(actor=who.id) as uow:
        return AlgorithmOut.of(await usecases.put_code(uow, who, algorithm, part, ref))


@algorithm_routes.get("/algorithms/{algorithm}/code/{part}", **permits(Permission.SEE))
async def get_code(algorithm: str, part: PartName, who: Caller, context: Ctx) -> Response:
    """The code of a part, as a zip."""
    known = await _seen(context, who, algorithm)
    found = getattr(known, part)
    if found is None or found.code is None:
        raise NotFound("code_not_found", f"The {part} part of {algorithm} has no code package.")
    packed = await asyncio.to_thread(write_package, await _files(context, found.code))
    headers = {
        "Content-Disposition": f'attachment; filename="{algorithm}-{part}.zip"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(packed, media_type="application/zip", headers=headers)


@algorithm_routes.get("/algorithms/{algorithm}/snapshot", **permits(Permission.SERVICE))
async def snapshot(algorithm: str, context: Ctx) -> AlgorithmSnapshot:
    """All that another service needs of it, when it has not heard of it yet."""
    async with context.kit.store.reading() as connection:
        return usecases.snapshot(await ALGORITHMS.get(connection, algorithm))


@engine_routes.post("/engines", status_code=201, response_model=EngineOut, **permits(Permission.ADMIN))
async def add_engine(body: EngineIn, who: Caller, context: Ctx, key: IdempotencyKey = None) -> Response:
    """Register an engine from a list of requirements."""

    async def work(uow: Any) -> EngineOut:
        engine = await builds.add_engine(
            uow, who, body.name, body.framework, body.version, body.requirements, body.python
        )
        return await _shown(context, engine)

    return await create_once(context.kit.store, who, key, body, work)


@engine_routes.get("/engines", **permits(Permission.USER))
async def list_engines(context: Ctx, page: Paging, q: str | None = None) -> PageOf[EngineOut]:
    """Every engine, and how its building stands."""
    wanted = [engines.c.name.icontains(q, autoescape=True)] if q is not None else []
    async with context.kit.store.reading() as connection:
        found = await ENGINES.page(connection, page, *wanted)
    shown = await asyncio.gather(*(_shown(context, engine) for engine in found.items))
    return PageOf(items=list(shown), next_cursor=found.next_cursor)


@engine_routes.get("/engines/{name}", **permits(Permission.USER))
async def show_engine(name: str, context: Ctx) -> EngineOut:
    """One engine, and how its building stands."""
    async with context.kit.store.reading() as connection:
        engine = await ENGINES.get(connection, name)
    return await _shown(context, engine)


@engine_routes.post("/engines/{name}/build", status_code=202, **permits(Permission.USER))
async def build_engine(name: str, who: Caller, context: Ctx) -> EngineOut:
    """Build it now, so that the first job needn't wait for it."""
    async with context.kit.store.work(actor=who.id) as uow:
        engine = await builds.ask_build(uow, name)
        uow.after_commit(context.wake_builds)
    return await _shown(context, engine)


async def _seen(context: Context, who: Caller, algorithm_id: str) -> Algorithm:
    async with context.kit.store.reading() as connection:
        known = await ALGORITHMS.get(connection, algorithm_id)
    require_see(who, "algorithm", known.id, known.owner, known.shared)
    return known


async def _shown(context: Context, engine: Engine) -> EngineOut:
    return EngineOut.of(engine, await context.kit.platform.engines.status(builds.spec_of(engine)))


async def _body(request: Request, most: int) -> bytes:
    """The body, refused as soon as it is too large. Raises TooLarge (`package_too_large`)."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > most:
            raise TooLarge("package_too_large", f"A code package has at most {most} bytes. Keep data and models out.")
    return bytes(content)


async def _files(context: Context, ref: ManifestRef) -> dict[str, bytes]:
    files = context.kit.platform.files
    found: dict[str, bytes] = {}
    async for entry in read(files, ref):
        found[entry.path] = b"".join([chunk async for chunk in open_entry(files, ref, entry)])
    return found
