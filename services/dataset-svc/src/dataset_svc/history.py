"""The history of datasets: a table that only grows, each row written in the transaction of what it tells.

It outlives the dataset, whose tombstone says nothing of how it came to be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Index, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import BigId, Instant, Json
from common.db.uow import UnitOfWork
from common.kernel.errors import BadRequest
from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.history import Deed, Entry, deeds_between
from dataset_svc.storage import METADATA

history = Table(
    "dataset_history",
    METADATA,
    Column("id", BigId, primary_key=True, autoincrement=True),
    Column("dataset_id", String(48), nullable=False),
    Column("at", Instant, nullable=False),
    Column("actor", String(48)),
    Column("deed", String(24), nullable=False),
    Column("changes", Json, nullable=False),
    Column("detail", Json, nullable=False),
)
Index("dataset_history_of", history.c.dataset_id, history.c.id)

_NOTE = insert(history)


def note(
    uow: UnitOfWork,
    dataset_id: str,
    deed: Deed,
    detail: Mapping[str, Any] | None = None,
    *,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    """It happened, if this transaction commits."""
    told = {"dataset_id": dataset_id, "at": uow.clock.now(), "actor": uow.actor, "deed": str(deed)}
    pairs = {name: list(pair) for name, pair in (changes or {}).items()}
    uow.later(_NOTE, {**told, "changes": pairs, "detail": dict(detail or {})})


def note_changes(uow: UnitOfWork, before: Dataset, after: Dataset) -> None:
    """What a person changed of a dataset."""
    for deed, changes in deeds_between(before, after).items():
        note(uow, after.id, deed, changes=changes)


async def history_page(
    connection: AsyncConnection, dataset_id: str, cursor: str | None, limit: int
) -> tuple[list[Entry], str | None]:
    """The newest entries first, and the cursor of the next page. Raises BadRequest (`bad_cursor`)."""
    found = select(history).where(history.c.dataset_id == dataset_id)
    if cursor is not None:
        found = found.where(history.c.id < _number(cursor))
    rows = (await connection.execute(found.order_by(history.c.id.desc()).limit(limit + 1))).all()
    shown = rows[:limit]
    entries = [
        Entry(Deed(row.deed), row.at, row.actor, {name: tuple(pair) for name, pair in row.changes.items()}, row.detail)
        for row in shown
    ]
    return entries, str(shown[-1].id) if len(rows) > limit else None


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadRequest("bad_cursor", "The cursor is not one that a list gave. Start without it.")
    return int(cursor)
