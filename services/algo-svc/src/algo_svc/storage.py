"""The tables of algo-svc and its repositories."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, MetaData, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from algo_svc.domain.algorithm import PRESET_OWNER, Algorithm
from algo_svc.domain.engine import Engine
from common.db.aggregates import Aggregates, aggregate_table
from common.db.tables import Instant
from common.db.uow import UnitOfWork
from common.kernel.errors import Fault, Invalid

METADATA = MetaData()

algorithms = aggregate_table(
    "algorithms",
    METADATA,
    Column("purpose", String(80), nullable=False, index=True),
    Column("visibility", String(16), nullable=False),
    Column("online", Boolean, nullable=False),
    Column("preset", String(100), unique=True),
)

engines = aggregate_table("engines", METADATA)

tombstones = Table(
    "tombstones",
    METADATA,
    Column("id", String(48), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("owner", String(48), nullable=False),
    Column("deleted_at", Instant, nullable=False),
)
"""Deleted algorithms: their code stays, because services of their models still run it."""


def _columns(algorithm: Algorithm) -> dict[str, Any]:
    return {
        "purpose": algorithm.purpose,
        "visibility": str(algorithm.visibility),
        "online": algorithm.online,
        "preset": algorithm.preset,
    }


ALGORITHMS = Aggregates("algorithm", algorithms, Algorithm, shared=lambda item: item.shared, columns=_columns)
ENGINES = Aggregates("engine", engines, Engine, shared=lambda item: True)


async def preset_named(connection: AsyncConnection, name: str) -> Algorithm | None:
    """The algorithm that was installed from the preset of that name."""
    found = await ALGORITHMS.where(connection, algorithms.c.preset == name, algorithms.c.owner == PRESET_OWNER)
    return found[0] if found else None


async def engine_named(connection: AsyncConnection, name: str, where: str) -> Engine:
    """The engine of that name. Raises Invalid (`engine_not_found`), the fault being at `where`, naming those there
    are."""
    if (engine := await ENGINES.find(connection, name)) is not None:
        return engine
    known = (await connection.execute(select(engines.c.id).order_by(engines.c.id))).scalars()
    reason = f"There is no engine {name!r}. There are: {', '.join(known) or 'none'}."
    raise Invalid("engine_not_found", reason, faults=[Fault(where, reason)])


async def bury(uow: UnitOfWork, algorithm: Algorithm) -> None:
    """Remove an algorithm but for its tombstone."""
    await ALGORITHMS.remove(uow.connection, algorithm.id)
    row = {"id": algorithm.id, "name": algorithm.name, "owner": algorithm.owner, "deleted_at": uow.clock.now()}
    await uow.connection.execute(insert(tombstones).values(**row))


async def was_there(uow: UnitOfWork, algorithm_id: str) -> None:
    """Raises NotFound (`algorithm_not_found`) unless it exists or did: its code is still here in both cases."""
    known = select(tombstones.c.id).where(tombstones.c.id == algorithm_id)
    if (await uow.connection.execute(known)).first() is None:
        await ALGORITHMS.get(uow.connection, algorithm_id)
