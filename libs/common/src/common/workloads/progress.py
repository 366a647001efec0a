"""How preparing stands, for whoever asks: in memory where it is prepared, in the database for other instances.

Only what is shown to people goes this way; nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import read_models
from common.db.uow import Store

KIND = "progress"

Stand = tuple[float, str]
"""Part done (0–1), and what it does now."""


class Progress:
    """The progress of one service's workloads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: dict[str, Stand] | None = None
        self.here: dict[str, Stand] = {}
        """By workload, of those that this instance prepares."""

    async def tell(self) -> None:
        """Note what has changed since the last time. A SQLite file has one instance, which knows."""
        if self._store.database.is_sqlite or self._told == self.here:
            return
        now, told = dict(self.here), self._told
        gone = read_models.c.id.in_(told.keys() - now.keys()) if told is not None else read_models.c.id.is_not(None)
        async with self._store.database.writing() as connection:
            await connection.execute(delete(read_models).where(read_models.c.kind == KIND, gone))
            for workload, stand in now.items():
                if told is None or told.get(workload) != stand:
                    await _note(connection, workload, stand)
        self._told = now

    def forget(self) -> None:
        """Another instance prepares from now on."""
        self._told = None
        self.here.clear()

    async def elsewhere(self, workloads: Collection[str]) -> dict[str, Stand]:
        """What the instance that prepares them has noted."""
        if self._store.database.is_sqlite or not workloads:
            return {}
        noted = select(read_models.c.id, read_models.c.doc).where(
            read_models.c.kind == KIND, read_models.c.id.in_(workloads)
        )
        async with self._store.reading() as connection:
            return {row.id: (row.doc["done"], row.doc["note"]) for row in await connection.execute(noted)}


async def _note(connection: AsyncConnection, workload: str, stand: Stand) -> None:
    doc = {"done": stand[0], "note": stand[1]}
    row = insert(read_models).values(kind=KIND, id=workload, sequence=0, gone=False, doc=doc)
    await connection.execute(row.on_conflict_do_update(index_elements=["kind", "id"], set_={"doc": doc}))
