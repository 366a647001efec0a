"""External sources: describing one, looking into it, importing from it (row D11)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from common.contracts.source import SourceFacts, SourceOpening
from common.db.aggregates import Page, PageRequest
from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, Fault, Unavailable
from common.kernel.ids import new_id
from common.kernel.names import description_faults, name_faults, raise_faults
from common.sources import Found, open_source
from common.sources import Source as Opened
from common.sources.connections import Connection, address_faults, secret_faults
from common.web.access import require_change, require_see, visible
from common.web.identity import Principal
from dataset_svc import storage
from dataset_svc.context import Context
from dataset_svc.domain.imports import Import
from dataset_svc.domain.sources import Source
from dataset_svc.domain.taxonomy import Part
from dataset_svc.storage import IMPORTS, SOURCES, sources
from dataset_svc.usecases.access import to_change
from dataset_svc.usecases.uploads import check_wanted

CONNECTION: TypeAdapter[Any] = TypeAdapter(Connection)

LOOK_SECONDS = 60
"""How long one looks into a source for its first files."""


@dataclass(frozen=True)
class NewSource:
    """What a person says of a source. `connection` was read by its schema already."""

    name: str
    connection: Any
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    description: str = ""


async def create_source(uow: UnitOfWork, context: Context, who: Principal, new: NewSource) -> Source:
    """A new source; nothing is asked of it yet. Raises Invalid (`invalid_source`) with all faults."""
    connection = new.connection.model_dump(mode="json")
    faults = [*name_faults(new.name), *description_faults(new.description), *address_faults(connection)]
    raise_faults("source", [*faults, *secret_faults(new.connection.type, new.credentials)])
    now = uow.clock.now()
    source = Source(new_id("src"), new.name, who.id, connection, now, now, description=new.description)
    source = source.with_secrets(context.secrets.seal(new.credentials), tuple(new.credentials))
    await SOURCES.add(uow.connection, source)
    return source


async def find_source(context: Context, who: Principal, source_id: str) -> Source:
    """One source. Raises NotFound (`source_not_found`)."""
    async with context.store.reading() as connection:
        source = await SOURCES.get(connection, source_id)
    require_see(who, "source", source.id, source.owner, shared=False)
    return source


async def list_sources(context: Context, who: Principal, page: PageRequest, q: str | None) -> Page[Source]:
    """The caller's sources (all of them for an administrator)."""
    named = [sources.c.name.icontains(q, autoescape=True)] if q else []
    async with context.store.reading() as connection:
        return await SOURCES.page(connection, page, visible(who, sources), *named)


async def change_credentials(
    context: Context, who: Principal, source_id: str, credentials: Mapping[str, str]
) -> Source:
    """Other secrets in place of the old ones. Raises NotFound, Invalid (`invalid_source`)."""
    async with context.store.work(actor=who.id) as uow:
        source = await SOURCES.get(uow.connection, source_id)
        require_change(who, "source", source.id, source.owner, shared=False)
        raise_faults("source", secret_faults(source.connection["type"], credentials))
        changed = source.with_secrets(context.secrets.seal(credentials), tuple(credentials))
        return await SOURCES.save(uow.connection, changed, now=uow.clock.now())


async def delete_source(context: Context, who: Principal, source_id: str) -> None:
    """Forget a source with its secrets; versions that came from it stay. Raises Conflict (`source_in_use`)."""
    async with context.store.work(actor=who.id) as uow:
        source = await SOURCES.get(uow.connection, source_id)
        require_change(who, "source", source.id, source.owner, shared=False)
        using = [item.id for item in await storage.active_imports(uow.connection) if item.source_id == source_id]
        if using:
            detail = f"{source.name} is being imported from ({', '.join(using[:5])}). Wait, or cancel the import."
            raise Conflict("source_in_use", detail, imports=using)
        await SOURCES.remove(uow.connection, source_id)


async def opened(context: Context, source: Source, prefix: str = "") -> Opened:
    """The source itself, to be closed, from `prefix` below its own on. Raises as `open_source`."""
    connection = CONNECTION.validate_python(source.connection)
    if prefix.strip("/"):
        below = f"{connection.prefix.strip('/')}/{prefix.strip('/')}".strip("/")
        connection = connection.model_copy(update={"prefix": below})
    secrets = context.secrets.open(source.sealed) if source.sealed else {}
    roots = {**context.kit.platform.shared.paths, **context.settings.shared_roots}
    return await open_source(connection, secrets, context.egress, roots)


async def source_facts(context: Context, source_id: str) -> SourceFacts:
    """What the other services may know of a source. Raises NotFound (`source_not_found`)."""
    async with context.store.reading() as connection:
        source = await SOURCES.get(connection, source_id)
    where = source.connection
    return SourceFacts(
        id=source.id,
        name=source.name,
        owner=source.owner,
        kind=where["type"],
        root=where.get("root"),
        prefix=where.get("prefix", ""),
    )


async def source_opening(context: Context, source_id: str) -> SourceOpening:
    """How to read a source, with its secrets. Raises NotFound (`source_not_found`)."""
    async with context.store.reading() as connection:
        source = await SOURCES.get(connection, source_id)
    return SourceOpening(
        connection=source.connection,
        secrets=context.secrets.open(source.sealed) if source.sealed else {},
        networks=context.settings.source_networks,
        files=context.settings.entries,
        version=source.version,
    )


async def look_into(context: Context, who: Principal, source_id: str, prefix: str, limit: int) -> list[Found]:
    """The first files of a source: whether it lets us in, and what lies there. Raises as `open_source`, and what is
    refused or away, which a source that gives no list in time is (Unavailable, `source_unavailable`)."""
    stored = await find_source(context, who, source_id)
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await _first(await opened(context, stored, prefix), limit)
    except TimeoutError as error:
        detail = f"{stored.name} gave no list within {LOOK_SECONDS} seconds."
        raise Unavailable("source_unavailable", detail) from error


async def _first(source: Opened, limit: int) -> list[Found]:
    """The first files of a source, which is closed then."""
    found: list[Found] = []
    try:
        async with aclosing(source.files()) as files:
            async for one in files:
                found.append(one)
                if len(found) == limit:
                    break
    finally:
        await source.close()
    return found


async def import_from(
    uow: UnitOfWork, context: Context, who: Principal, dataset_id: str, source_id: str, part: Part, prefix: str
) -> Import:
    """Import what lies in a source now as a version. Raises NotFound, Conflict as an upload would."""
    dataset = await to_change(uow.connection, who, dataset_id)
    check_wanted(dataset, part)
    source = await SOURCES.get(uow.connection, source_id)
    require_see(who, "source", source.id, source.owner, shared=False)
    raise_faults("import", [Fault("prefix", "At most 1,024 characters.")] if len(prefix) > 1024 else [])
    now, import_id = uow.clock.now(), new_id("imp")
    item = Import(
        id=import_id,
        name=source.name,
        owner=dataset.owner,
        dataset_id=dataset_id,
        part=part,
        upload_id="",
        archive=f"datasets/{dataset_id}/fetched/{import_id}",
        size=0,
        requested_by=who.id,
        created_at=now,
        updated_at=now,
        source_id=source.id,
        prefix=prefix,
    )
    await IMPORTS.add(uow.connection, item)
    uow.after_commit(context.ring)
    return item
