"""Holds: who still needs a thing's files, so that garbage collection can't take them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import Instant, holds

# as text, because both dialects read it alike and the built statement would be compiled for every hold
_TAKE = text(
    "INSERT INTO holds (resource, holder, created_at) VALUES (:resource, :holder, :now) ON CONFLICT DO NOTHING"
).bindparams(bindparam("now", type_=Instant))


async def take_hold(connection: AsyncConnection, resource: str, holder: str, now: datetime) -> None:
    """Note that `holder` (a workload) needs `resource`; holding twice is holding once."""
    await connection.execute(_TAKE, {"resource": resource, "holder": holder, "now": now})


async def release_hold(connection: AsyncConnection, resource: str, holder: str) -> None:
    """The holder needs it no more; releasing twice is no error."""
    await connection.execute(delete(holds).where(holds.c.resource == resource, holds.c.holder == holder))


async def holders(connection: AsyncConnection, resource: str) -> list[str]:
    """Who holds it, oldest first."""
    found = select(holds.c.holder).where(holds.c.resource == resource).order_by(holds.c.created_at)
    return list((await connection.execute(found)).scalars())
