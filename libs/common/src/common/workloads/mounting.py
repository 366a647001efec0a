"""External sources in a workload, as they are (row D11).

A shared path is bound from where this machine has it. What lies in S3 or Swift is copied into the node's cache by its
listing: who changed nothing there copies nothing again. Its secrets are asked of dataset-svc when they are needed, live
in this process alone, and are in no plan, event, log or variable of the workload.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path

from pydantic import TypeAdapter

from common.contracts.source import SourceOpening
from common.kernel.errors import Invalid, Problem, Unavailable
from common.ports.runtime import Mount
from common.ports.staging import Listing, StageProgress
from common.service import Kit
from common.sources import Egress, Source, open_source
from common.sources.connections import Connection, S3Connection, SharedPath, SwiftConnection
from common.workloads.plan import MountPlan

OWNER = "dataset-svc"

_CONNECTION: TypeAdapter[S3Connection | SwiftConnection | SharedPath] = TypeAdapter(Connection)

Told = Callable[[StageProgress], None]


async def mounted(kit: Kit, workload: str, plan: MountPlan, told: Told) -> Mount:
    """The folder of a source. Raises Unavailable where dataset-svc is away, and Problem where there is no such place
    any more, it lets nobody in, or it can't be copied whole."""
    if plan.root is None:
        return Mount(plan.name, "staged", "", source=await _copied(kit, workload, plan, told))
    shared = kit.platform.shared
    with _failing(plan.source_id):
        folder = await asyncio.to_thread(shared.folder, plan.root, plan.path, writable=not plan.read_only)
    return Mount(plan.name, "staged" if plan.read_only else "shared", "", source=folder)


async def _copied(kit: Kit, workload: str, plan: MountPlan, told: Told) -> Path:
    answer = await kit.calls.post(OWNER, f"/api/v1/sources/{plan.source_id}/opening", {"workload": workload})
    opening = SourceOpening.model_validate(answer)
    async with _opened(opening, plan) as source:
        listing = await _listed(source, f"{plan.source_id}@{opening.version}/{plan.path}", opening.files)
        return await kit.platform.staging.copy(listing, source.read, told, workload=workload)


@asynccontextmanager
async def _opened(opening: SourceOpening, plan: MountPlan) -> AsyncIterator[Source]:
    connection = _CONNECTION.validate_python(opening.connection).model_copy(update={"prefix": plan.path})
    with _failing(plan.source_id):
        source = await open_source(connection, opening.secrets, Egress.of(opening.networks), {})
        try:
            yield source
        finally:
            await source.close()


@contextmanager
def _failing(source: str) -> Iterator[None]:
    """A source that does not answer is no reason to hold devices until it does: it fails."""
    try:
        yield
    except Unavailable as away:
        raise Problem("staging_failed", f"The source {source} can't be mounted: {away.detail}") from away


async def _listed(source: Source, place: str, most: int) -> Listing:
    """What lies there now. Raises Invalid (`too_many_files`)."""
    found = []
    async with aclosing(source.files()) as files:
        async for one in files:
            found.append((one.path, one.size, one.tag))
            if len(found) > most:
                raise _too_many(place, most)
    return Listing(place, tuple(sorted(found)))


def _too_many(place: str, most: int) -> Invalid:
    detail = f"More than {most} files lie in the source {place}, which is to be mounted."
    what_to_do = "Mount less of it, by a longer path, or ask an administrator for more (DATASET_ENTRIES)."
    return Invalid("too_many_files", f"{detail} {what_to_do}")
