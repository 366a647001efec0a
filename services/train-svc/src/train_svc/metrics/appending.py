"""Putting points behind what a series has: into its last chunk while that is short, then into new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from train_svc.domain.points import Column, unpacked
from train_svc.metrics.tables import chunks, series

MERGE_BELOW = 256
"""A last chunk of fewer points is filled up rather than followed by another."""
LONGEST_CHUNK = 8192


@dataclass(frozen=True)
class SeriesRow:
    """A row of `series`."""

    id: int
    chunks: int = 0
    tail: int = 0
    last_step: int = -1
    last_value: float = 0.0


@dataclass
class Changes:
    """What one commit does to the tables."""

    filled: list[dict[str, Any]] = field(default_factory=list)
    added: list[dict[str, Any]] = field(default_factory=list)
    series: list[dict[str, Any]] = field(default_factory=list)


_FILL = (
    update(chunks)
    .where(chunks.c.series == bindparam("at_series"), chunks.c.number == bindparam("at_number"))
    .values({"steps": bindparam("new_steps"), "values": bindparam("new_values")})
)
_GROW = (
    update(series)
    .where(series.c.id == bindparam("at_id"))
    .values(
        chunks=bindparam("new_chunks"),
        tail=bindparam("new_tail"),
        last_step=bindparam("new_step"),
        last_value=bindparam("new_value"),
    )
)


def fills(one: SeriesRow) -> bool:
    """Whether its last chunk is short enough to take more."""
    return one.chunks > 0 and one.tail < MERGE_BELOW


async def tails_of(connection: AsyncConnection, filling: Mapping[int, int]) -> dict[int, Column]:
    """The last chunks that are to be filled up, by series."""
    tail: dict[int, Column] = {}
    for series_id, number in filling.items():
        at = select(chunks.c.steps, chunks.c["values"]).where(
            chunks.c.series == series_id, chunks.c.number == number - 1
        )
        row = (await connection.execute(at)).one()
        tail[series_id] = unpacked(row[0], row[1])
    return tail


def append(changes: Changes, known: SeriesRow, column: Column, tail: Column | None) -> None:
    """Put a column behind what a series has: into its last chunk while that is short, then into new ones."""
    steps, values = column.steps, column.values
    count, size = known.chunks, known.tail
    if tail is not None and steps[0] > tail.steps[-1]:
        room = LONGEST_CHUNK - len(tail.steps)
        filled = Column(tail.steps + steps[:room], tail.values + values[:room])
        changes.filled.append(
            _at(known.id, count - 1) | dict(zip(("new_steps", "new_values"), filled.packed(), strict=True))
        )
        size, steps, values = len(filled.steps), steps[room:], values[room:]
    for start in range(0, len(steps), LONGEST_CHUNK):
        part = Column(steps[start : start + LONGEST_CHUNK], values[start : start + LONGEST_CHUNK])
        packed = dict(zip(("steps", "values"), part.packed(), strict=True))
        changes.added.append({"series": known.id, "number": count, **packed})
        count, size = count + 1, len(part.steps)
    newest = column.steps[-1] >= known.last_step
    changes.series.append(
        {
            "at_id": known.id,
            "new_chunks": count,
            "new_tail": size,
            "new_step": column.steps[-1] if newest else known.last_step,
            "new_value": column.values[-1] if newest else known.last_value,
        }
    )


def _at(series_id: int, number: int) -> dict[str, Any]:
    return {"at_series": series_id, "at_number": number}


async def write(connection: AsyncConnection, changes: Changes) -> None:
    """Write them, each kind in one statement."""
    if changes.filled:
        await connection.execute(_FILL, changes.filled)
    if changes.added:
        await connection.execute(insert(chunks), changes.added)
    if changes.series:
        await connection.execute(_GROW, changes.series)
