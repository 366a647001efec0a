"""Writing and reading curves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.database import Database
from common.db.migrate import upgrade
from common.disk import storage_full
from common.kernel.errors import Invalid
from train_svc.domain.points import Column, Columns, Point, Points, unpacked
from train_svc.metrics.appending import Changes, SeriesRow, append, fills, tails_of, write
from train_svc.metrics.tables import chunks, series, tails

MIGRATIONS = Path(__file__).parent / "migrations" / "versions"
BRANCH = "train_metrics@head"


class TooManySeries(Invalid):
    """422 (`too_many_series`): an attempt has a limited number of metrics."""

    def __init__(self, most: int) -> None:
        super().__init__("too_many_series", f"An attempt has at most {most} metrics; report fewer names.")


@dataclass(frozen=True)
class Place:
    """How far somebody who follows a metric has come: the last step, and the chunk in which it was."""

    step: int
    chunk: int = 0


class Metrics:
    """The curves of all attempts."""

    def __init__(self, database: Database, most_series: int = 200) -> None:
        self.database = database
        self._most = most_series

    async def start(self) -> None:
        """Bring the database up to date."""
        await upgrade(self.database, MIGRATIONS, BRANCH)

    async def close(self) -> None:
        """Give the connections back."""
        await self.database.close()

    async def add(self, points: Mapping[str, Columns]) -> None:
        """Add the columns of some attempts in one commit. Raises TooManySeries, with nothing added."""
        async with self._writing() as connection:
            for attempt, columns in points.items():
                await self._add(connection, attempt, columns, strict=True)

    async def follow(self, attempt: str, start: int, end: int, points: Points) -> bool:
        """Add what was read of its metrics file from byte `start` to `end`, and note `end`, in one commit.

        False, and nothing added, where somebody else has read on from `start` meanwhile. Names beyond the limit are
        left out: a job is not stopped for them.
        """
        async with self._writing() as connection:
            if not await self._read_on(connection, attempt, start, end, points.wrong):
                return False
            await self._add(connection, attempt, points.columns, strict=False)
        return True

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction. Raises StorageFull (`storage_full`) where the disk has no room for it."""
        try:
            async with self.database.writing() as connection:
                yield connection
        except OperationalError as error:
            if "full" not in str(error.orig):
                raise
            raise storage_full("metrics", str(error.orig)) from error

    async def _read_on(self, connection: AsyncConnection, attempt: str, start: int, end: int, wrong: int) -> bool:
        if start == 0:
            make = sqlite_insert if self.database.is_sqlite else pg_insert
            row = make(tails).values(attempt=attempt, offset=0, skipped=0)
            await connection.execute(row.on_conflict_do_nothing())
        moved = update(tails).where(tails.c.attempt == attempt, tails.c.offset == start)
        values = {"offset": end, "skipped": tails.c.skipped + wrong}
        return bool((await connection.execute(moved.values(values))).rowcount)

    async def offset(self, attempt: str) -> int:
        """How far its metrics file was read, in bytes."""
        async with self.database.reading() as connection:
            found = select(tails.c.offset).where(tails.c.attempt == attempt)
            return int((await connection.execute(found)).scalar_one_or_none() or 0)

    async def skipped(self, attempt: str) -> int:
        """How much of its metrics file could not be read as points."""
        async with self.database.reading() as connection:
            found = select(tails.c.skipped).where(tails.c.attempt == attempt)
            return int((await connection.execute(found)).scalar_one_or_none() or 0)

    async def _add(self, connection: AsyncConnection, attempt: str, columns: Columns, *, strict: bool) -> None:
        known = await self._series(connection, attempt, columns, strict=strict)
        changes = Changes()
        filling = {known[name].id: known[name].chunks for name in columns if name in known and fills(known[name])}
        tail = await tails_of(connection, filling)
        for name, column in columns.items():
            if name in known and column.steps:
                append(changes, known[name], column, tail.get(known[name].id))
        await write(connection, changes)

    async def _series(
        self, connection: AsyncConnection, attempt: str, columns: Columns, *, strict: bool
    ) -> dict[str, SeriesRow]:
        """The attempt's series by name, locked where the database locks rows; those that are new are made."""
        known = await _known(connection, attempt)
        new = [name for name in columns if name not in known]
        if not new:
            return known
        if len(known) + len(new) > self._most:
            if strict:
                raise TooManySeries(self._most)
            new = new[: max(self._most - len(known), 0)]
        rows = [
            {"attempt": attempt, "name": name, "chunks": 0, "tail": 0, "last_step": -1, "last_value": 0.0}
            for name in new
        ]
        if rows:
            make = sqlite_insert if self.database.is_sqlite else pg_insert
            await connection.execute(make(series).on_conflict_do_nothing(), rows)
        return await _known(connection, attempt)

    async def names(self, attempt: str) -> list[str]:
        """The metrics it has, by name."""
        async with self.database.reading() as connection:
            found = select(series.c.name).where(series.c.attempt == attempt).order_by(series.c.name)
            return list((await connection.execute(found)).scalars())

    async def latest(self, attempts: Sequence[str]) -> dict[str, dict[str, float]]:
        """The latest value of every metric, by attempt."""
        latest: dict[str, dict[str, float]] = {}
        async with self.database.reading() as connection:
            for row in (await connection.execute(_LATEST, {"attempts": list(attempts)})).all():
                latest.setdefault(row.attempt, {})[row.name] = row.last_value
        return latest

    async def curves(self, attempt: str, names: Sequence[str] | None = None) -> dict[str, list[Point]]:
        """Whole curves by metric, in the order of steps."""
        wanted = [series.c.attempt == attempt, *([series.c.name.in_(names)] if names else [])]
        async with self.database.reading() as connection:
            found = (await connection.execute(_CHUNKS.where(*wanted))).all()
        rows = [(row[0], row[1], row[2]) for row in found]
        return _joined(rows) if len(rows) < FEW_CHUNKS else await asyncio.to_thread(_joined, rows)

    async def news(self, attempt: str, seen: dict[str, Place], after: int) -> dict[str, list[Point]]:
        """The points that each metric got beyond its place in `seen`, which moves on; new metrics begin behind `after`.

        Only chunks that can hold something new are read.
        """
        async with self.database.reading() as connection:
            known = (await connection.execute(_KNOWN, {"attempt": attempt})).all()
            grown = {row.name: row for row in known if row.last_step > seen.get(row.name, Place(after)).step}
            rows = []
            for name, row in grown.items():
                first = seen.get(name, Place(after)).chunk
                found = _CHUNKS.where(series.c.id == row.id, chunks.c.number >= first)
                rows += [(name, r[1], r[2]) for r in (await connection.execute(found)).all()]
        news = {}
        for name, points in _joined(rows).items():
            last = seen.get(name, Place(after)).step
            news[name] = [point for point in points if point[0] > last]
            seen[name] = Place(grown[name].last_step, max(grown[name].chunks - 1, 0))
        return news

    async def forget(self, attempt: str) -> None:
        """Remove everything of an attempt."""
        mine = select(series.c.id).where(series.c.attempt == attempt)
        async with self.database.writing() as connection:
            await connection.execute(delete(chunks).where(chunks.c.series.in_(mine)))
            await connection.execute(delete(series).where(series.c.attempt == attempt))
            await connection.execute(delete(tails).where(tails.c.attempt == attempt))


FEW_CHUNKS = 64
"""So many are unpacked at once; more, in a thread."""

_CHUNKS = (
    select(series.c.name, chunks.c.steps, chunks.c["values"])
    .join(chunks, chunks.c.series == series.c.id)
    .order_by(series.c.name, chunks.c.number)
)
_KNOWN = select(
    series.c.name, series.c.id, series.c.chunks, series.c.tail, series.c.last_step, series.c.last_value
).where(series.c.attempt == bindparam("attempt"))

_LATEST = (
    select(series.c.attempt, series.c.name, series.c.last_value)
    .where(series.c.attempt.in_(bindparam("attempts", expanding=True)))
    .order_by(series.c.name)
)


async def _known(connection: AsyncConnection, attempt: str) -> dict[str, SeriesRow]:
    rows = await connection.execute(_KNOWN.with_for_update(), {"attempt": attempt})
    return {row[0]: SeriesRow(*row[1:]) for row in rows.all()}


Rows = Iterable[tuple[str, bytes, bytes]]


def _joined(rows: Rows) -> dict[str, list[Point]]:
    """Curves from chunks in the order they were written: of two values for one step the later counts."""
    parts: dict[str, list[Column]] = {}
    for name, steps, values in rows:
        parts.setdefault(name, []).append(unpacked(steps, values))
    return {name: _curve(columns) for name, columns in parts.items()}


def _curve(columns: list[Column]) -> list[Point]:
    whole = Column([s for c in columns for s in c.steps], [v for c in columns for v in c.values])
    if any(left.steps[-1] >= right.steps[0] for left, right in pairwise(columns)):
        whole.settle()
    return list(zip(whole.steps, whole.values, strict=True))
