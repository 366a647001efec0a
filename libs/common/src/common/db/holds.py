"""Holds: who still needs a thing's files, so that garbage collection can't take them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import holds


async def take_hold(connection: AsyncConnection, resource: str, holder: str, now: datetime) -> None:
    """Note that `holder` (a workload) needs `resource`; holding twice is holding once."""
    make = pg_insert if connection.dialect.name == "postgresql" else sqlite_insert
    row = make(holds).values(resource=resource, holder=holder, created_at=now)
    await connection.execute(row.on_conflict_do_nothing())


async def release_hold(connection: AsyncConnection, resource: str, holder: str) -> None:
    """The holder needs it no more; releasing twice is no error."""
    await connection.execute(delete(holds).where(holds.c.resource == resource, holds.c.holder == holder))


async def holders(connection: AsyncConnection, resource: str) -> list[str]:
    """Who holds it, oldest first."""
    found = select(holds.c.holder).where(holds.c.resource == resource).order_by(holds.c.created_at)
    return list((await connection.execute(found)).scalars())
