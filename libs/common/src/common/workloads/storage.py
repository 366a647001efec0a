"""Workloads in the database of the service that runs them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.aggregates import missing
from common.db.database import may_lock
from common.db.direct import Direct, read
from common.db.tables import workloads
from common.kernel.errors import Conflict
from common.workloads.workload import Phase, Workload

_ADAPTER = TypeAdapter(Workload)

# built once: building and hashing a statement costs more than running it
_INSERT = Direct(insert(workloads))
_BY_ID = select(workloads.c.doc).where(workloads.c.id == bindparam("its_id"))
_ALONE = Direct(_BY_ID.with_for_update(key_share=True))
_OF_ID = Direct(_BY_ID)
_UPDATE = Direct(
    update(workloads).where(workloads.c.id == bindparam("its_id"), workloads.c.version == bindparam("its_version"))
)

_UNDER_WAY = tuple(phase for phase in Phase if phase not in (Phase.WAITING, Phase.ENDED))
"""Named one by one, because an index finds what is asked for and not what isn't: of ten thousand that wait none need be
read each second."""


def _row(workload: Workload) -> dict[str, Any]:
    return {
        "id": workload.id,
        "kind": workload.kind,
        "subject": workload.subject,
        "owner": workload.owner,
        "phase": str(workload.phase),
        "version": workload.version,
        "doc": _ADAPTER.dump_python(workload, mode="json"),
        "created_at": workload.created_at,
        "updated_at": workload.updated_at,
    }


async def add(connection: AsyncConnection, workload: Workload) -> None:
    """Store a new one."""
    await _INSERT.run(connection, _row(workload))


async def save(connection: AsyncConnection, workload: Workload, now: datetime) -> Workload:
    """Store a changed one; raises Conflict (`stale`) where it changed meanwhile."""
    newer = replace(workload, version=workload.version + 1, updated_at=now)
    guard = {"its_id": workload.id, "its_version": workload.version}
    if not (await _UPDATE.run(connection, _row(newer) | guard)).changed:
        raise Conflict("stale", f"The workload {workload.id} was changed meanwhile.")
    return newer


async def find(connection: AsyncConnection, workload_id: str) -> Workload | None:
    """The one with that id, None where this service has none. Who may write has it alone until the commit."""
    found = _ALONE if may_lock(connection) else _OF_ID
    return read(_ADAPTER, await found.run(connection, {"its_id": workload_id}))


async def get(connection: AsyncConnection, workload_id: str) -> Workload:
    """The one with that id. Raises NotFound (`workload_not_found`)."""
    if (workload := await find(connection, workload_id)) is None:
        raise missing("workload", workload_id)
    return workload


async def subject_of(connection: AsyncConnection, workload_id: str) -> str | None:
    """The job, project or service it belongs to, which never changes: nothing is locked for it."""
    found = select(workloads.c.subject).where(workloads.c.id == workload_id)
    subject: str | None = (await connection.execute(found)).scalar_one_or_none()
    return subject


async def of_subject(connection: AsyncConnection, subject: str) -> list[Workload]:
    """All workloads of a job, project or service, oldest first."""
    found = select(workloads.c.doc).where(workloads.c.subject == subject).order_by(workloads.c.id)
    return [_ADAPTER.validate_python(doc) for doc in (await connection.execute(found)).scalars()]


async def unfinished(connection: AsyncConnection) -> list[str]:
    """The ids of those for which there is something to do: granted, and not ended."""
    found = select(workloads.c.id).where(workloads.c.phase.in_(_UNDER_WAY)).order_by(workloads.c.id)
    return list((await connection.execute(found)).scalars())


async def going_on(connection: AsyncConnection) -> list[Workload]:
    """The same ones whole."""
    found = select(workloads.c.doc).where(workloads.c.phase.in_(_UNDER_WAY)).order_by(workloads.c.id)
    return [_ADAPTER.validate_python(doc) for doc in (await connection.execute(found)).scalars()]


async def not_ended(connection: AsyncConnection) -> list[str]:
    """The ids of all that wait for capacity or hold it."""
    found = select(workloads.c.id).where(workloads.c.phase.in_((Phase.WAITING, *_UNDER_WAY))).order_by(workloads.c.id)
    return list((await connection.execute(found)).scalars())


async def to_be_stopped(connection: AsyncConnection, ids: Collection[str]) -> set[str]:
    """Which of these are being prepared although somebody has asked for their end."""
    if not ids:
        return set()
    found = select(workloads.c.doc).where(workloads.c.id.in_(ids), workloads.c.phase == Phase.PREPARING)
    known = [_ADAPTER.validate_python(doc) for doc in (await connection.execute(found)).scalars()]
    return {workload.id for workload in known if workload.stop is not None}
