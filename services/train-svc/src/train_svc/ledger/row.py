"""The ledger's row, which whoever plans counts up first: so only one plans at a time, and each knows who did before."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from train_svc.domain.asking import DEFAULT_QUEUE
from train_svc.storage import ledgers

# as text, because both dialects read it alike and it is part of every plan
_NEXT = text(
    "UPDATE ledgers SET number = number + 1, previous = mark, mark = :mark, holder = CAST(:holder AS VARCHAR),"
    " epoch = CASE WHEN holder = CAST(:holder AS VARCHAR) THEN epoch ELSE epoch + 1 END"
    " WHERE name = :name RETURNING number, previous, epoch"
)


class Turn(NamedTuple):
    """A turn to plan: its number, the mark of the transaction that planned before, and the holder's epoch."""

    number: int
    previous: str
    epoch: int


async def count_up(connection: AsyncConnection, mark: str, holder: str) -> Turn:
    """Take the turn to plan under that mark: every other planner waits until this transaction ends."""
    named = {"mark": mark, "holder": holder, "name": DEFAULT_QUEUE}
    row = (await connection.execute(_NEXT, named)).one_or_none()
    if row is None:
        await _make(connection)
        return await count_up(connection, mark, holder)
    return Turn(*row)


async def last_mark(connection: AsyncConnection) -> str | None:
    """The mark of the transaction that planned last; None before the first plan."""
    last = select(ledgers.c.mark).where(ledgers.c.name == DEFAULT_QUEUE)
    mark: str | None = (await connection.execute(last)).scalar_one_or_none()
    return mark


async def _make(connection: AsyncConnection) -> None:
    """The row, for the first plan."""
    make = pg_insert if connection.dialect.name == "postgresql" else sqlite_insert
    await connection.execute(make(ledgers).values(name=DEFAULT_QUEUE, number=-1).on_conflict_do_nothing())
