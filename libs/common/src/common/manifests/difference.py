"""What is another in one list of files than in another, computed once and then read by pages.

The lists are sorted, so they are merged; what differs goes into a small SQLite file, where files with the same content
under another path find each other. So two lists of a million files need hardly any memory. Blocking: used in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.manifests.index import Entry
from common.manifests.merging import merged

_MOST_AT_ONCE = 1_000


class Change(StrEnum):
    """`renamed`: the same content under another path; `changed`: other content under the same one."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is another: its path (the new one), where it was (renamed), its sizes in bytes before and after,
    and its SHA-256 in hex (the new one, or that of what is removed)."""

    kind: Change
    path: str
    earlier_path: str | None
    earlier_size: int | None
    size: int | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Total:
    """How many files, and their bytes: the new ones, or those that are removed."""

    files: int = 0
    bytes: int = 0


_QUICK = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE; PRAGMA cache_size=-16384;"
"""A file that is thrown away after a kill needs no journal; 16 MB of it are kept in memory."""

_TABLES = """
CREATE TABLE gone (path TEXT NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL);
CREATE TABLE come (path TEXT NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL);
CREATE TABLE differences (path TEXT PRIMARY KEY, kind TEXT NOT NULL, earlier_path TEXT, earlier_size INTEGER,
                          size INTEGER, sha256 BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE totals (kind TEXT PRIMARY KEY, files INTEGER NOT NULL, bytes INTEGER NOT NULL);
"""

_JOINED = """
CREATE TEMP TABLE pairs AS
WITH a AS (SELECT path, size, sha256, row_number() OVER (PARTITION BY sha256 ORDER BY path) AS n FROM gone),
     b AS (SELECT path, size, sha256, row_number() OVER (PARTITION BY sha256 ORDER BY path) AS n FROM come)
SELECT b.path, a.path AS earlier_path, b.size, b.sha256 FROM b JOIN a USING (sha256, n) ORDER BY b.path;
CREATE INDEX temp.pairs_old ON pairs (earlier_path);
CREATE INDEX temp.pairs_new ON pairs (path);
INSERT INTO differences SELECT path, 'renamed', earlier_path, size, size, sha256 FROM pairs;
INSERT INTO differences SELECT path, 'removed', NULL, size, NULL, sha256 FROM gone
  WHERE path NOT IN (SELECT earlier_path FROM pairs);
INSERT INTO differences SELECT path, 'added', NULL, NULL, size, sha256 FROM come
  WHERE path NOT IN (SELECT path FROM pairs);
CREATE INDEX differences_kind ON differences (kind, path);
INSERT INTO totals SELECT kind, count(*), sum(coalesce(size, earlier_size)) FROM differences GROUP BY kind;
DROP TABLE gone;
DROP TABLE come;
"""


def compare(old: Path, new: Path, result: Path) -> None:
    """Write into the new file `result` how the list of the index file `new` differs from `old`. It is whole only once
    this has returned. Raises Problem (`manifest_corrupt`)."""
    with closing(sqlite3.connect(result, isolation_level=None)) as database:
        database.executescript(_QUICK + _TABLES)
        database.execute("BEGIN")
        _fill(database, old, new)
        database.execute("COMMIT")
        database.executescript(_JOINED)


def _fill(database: sqlite3.Connection, old: Path, new: Path) -> None:
    """Note everything that is not the same under the same path."""
    rows: dict[str, list[tuple[object, ...]]] = {"gone": [], "come": [], "differences": []}
    for pair in merged(old, new):
        if pair.same:
            continue
        before = Entry.parse(pair.old) if pair.old else None
        after = Entry.parse(pair.new) if pair.new else None
        if before and after:
            row = (after.path, str(Change.CHANGED), None, before.size, after.size, bytes.fromhex(after.sha256))
            _put(database, rows, "differences", row)
        elif before:
            _put(database, rows, "gone", (before.path, before.size, bytes.fromhex(before.sha256)))
        elif after:
            _put(database, rows, "come", (after.path, after.size, bytes.fromhex(after.sha256)))
    for table in rows:
        _flush(database, rows, table)


def _put(
    database: sqlite3.Connection, rows: dict[str, list[tuple[object, ...]]], table: str, row: tuple[object, ...]
) -> None:
    rows[table].append(row)
    if len(rows[table]) >= _MOST_AT_ONCE:
        _flush(database, rows, table)


def _flush(database: sqlite3.Connection, rows: dict[str, list[tuple[object, ...]]], table: str) -> None:
    if rows[table]:
        marks = ", ".join("?" * len(rows[table][0]))
        database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows[table])  # noqa: S608  (names of our own)
        rows[table].clear()


def totals(result: Path) -> dict[Change, Total]:
    """How much differs in each way."""
    with closing(_open(result)) as database:
        found = {Change(row[0]): Total(row[1], row[2]) for row in database.execute("SELECT * FROM totals")}
    return {kind: found.get(kind, Total()) for kind in Change}


def page(result: Path, kind: Change | None, after: str, limit: int) -> list[Difference]:
    """At most `limit` differences (of one kind) behind the path `after`, in the order of paths."""
    columns = "kind, path, earlier_path, earlier_size, size, sha256"
    of_kind = "kind = ? AND " if kind else ""
    query = f"SELECT {columns} FROM differences WHERE {of_kind}path > ? ORDER BY path LIMIT ?"  # noqa: S608
    with closing(_open(result)) as database:
        rows: Iterator[tuple[str, str, str | None, int | None, int | None, bytes]]
        rows = database.execute(query, (*([str(kind)] if kind else []), after, limit))
        return [Difference(Change(row[0]), row[1], row[2], row[3], row[4], row[5].hex()) for row in rows]


def _open(result: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{result.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
