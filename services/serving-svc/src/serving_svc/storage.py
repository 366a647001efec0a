"""The tables of serving-svc and its repositories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Boolean, Column, MetaData, String, Table, Text, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.aggregates import Aggregates, aggregate_table
from common.db.tables import Instant, outbox, workloads
from common.workloads import storage as workload_storage
from common.workloads.workload import Phase, Workload
from serving_svc.domain.replicas import Replica
from serving_svc.domain.service import InferenceService

METADATA = MetaData()

_WORKLOAD = TypeAdapter(Workload)

services = aggregate_table(
    "services",
    METADATA,
    Column("visibility", String(16), nullable=False),
    Column("model_id", String(48), index=True),
)

replicas = Table(
    "replicas",
    METADATA,
    Column("id", String(48), primary_key=True),
    Column("service_id", String(48), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
    Column("ready", Boolean, nullable=False, default=False),
    Column("ready_at", Instant),
    Column("draining_at", Instant),
    Column("replace_by", Instant),
    Column("sick", Text, nullable=False, default=""),
    Column("ended_at", Instant),
)
"""What is known of a replica besides its workload, which has the same id."""

SERVICES = Aggregates(
    "service",
    services,
    InferenceService,
    shared=lambda item: item.shared,
    columns=lambda item: {"visibility": str(item.visibility), "model_id": item.model_id},
)


@dataclass(frozen=True)
class Kept:
    """A replica with its workload, whether it has ended or not."""

    replica: Replica
    workload: Workload
    ended_at: datetime | None


def _replica(row: Any, workload: Workload) -> Replica:
    leaving = workload.stop is not None or workload.outcome is not None or workload.phase == Phase.ENDED
    return Replica(
        id=row.id,
        created_at=row.created_at,
        ready=row.ready and not leaving,
        ready_at=row.ready_at,
        draining_at=row.draining_at,
        sick=row.sick,
        leaving=leaving,
        address=workload.address,
        replace_by=row.replace_by,
    )


async def kept(connection: AsyncConnection, service_id: str) -> list[Kept]:
    """All replicas of a service that are remembered, oldest first."""
    found = select(replicas).where(replicas.c.service_id == service_id).order_by(replicas.c.id)
    rows = {row.id: row for row in await connection.execute(found)}
    known = await workload_storage.of_subject(connection, service_id)
    return [Kept(_replica(rows[w.id], w), w, rows[w.id].ended_at) for w in known if w.id in rows]


async def live(connection: AsyncConnection, service_id: str) -> list[Replica]:
    """The replicas of a service that have not ended, oldest first."""
    unfinished = select(workloads.c.id).where(workloads.c.subject == service_id, workloads.c.phase != Phase.ENDED)
    found = select(replicas).where(replicas.c.id.in_(unfinished)).order_by(replicas.c.id)
    rows = (await connection.execute(found)).all()
    known = await _workloads(connection, [row.id for row in rows])
    return [_replica(row, known[row.id]) for row in rows]


async def one(connection: AsyncConnection, replica_id: str, workload: Workload) -> Replica | None:
    """A replica, seen with that workload; None where it is forgotten."""
    row = (await connection.execute(select(replicas).where(replicas.c.id == replica_id))).first()
    return _replica(row, workload) if row is not None else None


async def add_replica(connection: AsyncConnection, replica_id: str, service_id: str, now: datetime) -> None:
    """A new one, not ready."""
    row = {"id": replica_id, "service_id": service_id, "created_at": now, "ready": False, "sick": ""}
    await connection.execute(insert(replicas).values(**row))


async def note(connection: AsyncConnection, replica_id: str, **values: Any) -> None:
    """Remember something of a replica."""
    await connection.execute(update(replicas).where(replicas.c.id == replica_id).values(**values))


async def watched(connection: AsyncConnection) -> list[Kept]:
    """The replicas of all services that have not ended."""
    found = select(replicas).where(replicas.c.ended_at.is_(None)).order_by(replicas.c.id)
    rows = (await connection.execute(found)).all()
    known = await _workloads(connection, [row.id for row in rows])
    return [Kept(_replica(row, known[row.id]), known[row.id], None) for row in rows if row.id in known]


async def _workloads(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, Workload]:
    """Workloads by id, in one query."""
    found = select(workloads.c.id, workloads.c.doc).where(workloads.c.id.in_(ids))
    return {row.id: _WORKLOAD.validate_python(row.doc) for row in await connection.execute(found)}


async def all_told(connection: AsyncConnection, subject: str) -> bool:
    """Whether every event of a service has reached those who hear it."""
    unsent = exists().where(outbox.c.subject == subject, outbox.c.sent_at.is_(None))
    return not (await connection.execute(select(unsent))).scalar_one()


async def outlived(connection: AsyncConnection, keep: int) -> list[tuple[str, str]]:
    """Service and replica id of ended ones beyond the newest `keep` of each service."""
    found = select(replicas.c.service_id, replicas.c.id).where(replicas.c.ended_at.is_not(None))
    by_service: dict[str, list[str]] = {}
    for service_id, replica_id in await connection.execute(found.order_by(replicas.c.id.desc())):
        by_service.setdefault(service_id, []).append(replica_id)
    return [(service, replica) for service, ids in by_service.items() for replica in ids[keep:]]


async def forget(connection: AsyncConnection, replica_ids: Sequence[str]) -> None:
    """Remove ended replicas and their workloads."""
    await connection.execute(delete(replicas).where(replicas.c.id.in_(replica_ids)))
    await connection.execute(delete(workloads).where(workloads.c.id.in_(replica_ids), workloads.c.phase == Phase.ENDED))


def log_key(service_id: str, replica_id: str) -> str:
    """Where the log of an ended replica is kept."""
    return f"services/{service_id}/logs/{replica_id}"
