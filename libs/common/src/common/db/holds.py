"""Holds: who still needs a thing's files, so that garbage collection can't take them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import Instant, holds

# as text, because both dialects read it alike and the built statement would be compiled for every hold
_TAKE = text(
    "INSERT INTO holds (resource, holder, created_at, service) VALUES (:resource, :holder, :now, :service)"
    " ON CONFLICT DO NOTHING"
).bindparams(bindparam("now", type_=Instant))


@dataclass(frozen=True, slots=True)
class Hold:
    """One hold: by whom, since when, and which service took it; None where it is the resource's own service."""

    holder: str
    since: datetime
    service: str | None


async def take_hold(
    connection: AsyncConnection, resource: str, holder: str, now: datetime, *, service: str | None = None
) -> None:
    """Note that `holder` (workloads of `service`, or a thing of this one) needs `resource`; holding twice is holding
    once."""
    row = {"resource": resource, "holder": holder, "now": now, "service": service}
    await connection.execute(_TAKE, row)


async def release_hold(connection: AsyncConnection, resource: str, holder: str) -> None:
    """The holder needs it no more; releasing twice is no error."""
    await connection.execute(delete(holds).where(holds.c.resource == resource, holds.c.holder == holder))


async def holders(connection: AsyncConnection, resource: str) -> list[str]:
    """Who holds it, oldest first."""
    return [hold.holder for hold in await holds_of(connection, resource)]


async def holds_of(connection: AsyncConnection, resource: str) -> list[Hold]:
    """The holds on it, oldest first."""
    columns = holds.c.holder, holds.c.created_at, holds.c.service
    found = select(*columns).where(holds.c.resource == resource).order_by(holds.c.created_at, holds.c.holder)
    return [Hold(*row) for row in await connection.execute(found)]
