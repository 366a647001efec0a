"""Storing only what is new: files that an earlier list of the same owner holds already are pointed at where they lie.

An import packs its files before anybody knows which of them are new. Here the packs are gone through once more: files
with the content of an earlier one (under the same path, or any other) are left out, packs without anything new vanish,
packs that are all new stay as they are, and the rest of the new bytes moves together into fewer packs. The content
digest, which says nothing of places, stays the same. Blocking: used in a thread.

Whoever shares must keep the earlier list's packs as long as the new list is there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from common.manifests.index import Entry, corrupt
from common.manifests.merging import header_of, merged
from common.manifests.pack import Packed, pack_name
from common.manifests.packfile import PackFile

MOST_SHARED = 256
"""Objects of earlier lists that a new one points at. A version that lies scattered over more is stored whole again, so
that reading one never gets slow however often it was changed."""

_COPY = 1 << 20
_AT_ONCE = 1_000
_QUICK = "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE; PRAGMA cache_size=-16384;"

_TABLES = """
CREATE TABLE fresh (object INTEGER, place INTEGER, size INTEGER NOT NULL, sha256 BLOB NOT NULL,
                    held_object INTEGER, held_place INTEGER, new_object INTEGER, new_place INTEGER,
                    PRIMARY KEY (object, place)) WITHOUT ROWID;
CREATE TABLE held (sha256 BLOB NOT NULL, object INTEGER NOT NULL, place INTEGER NOT NULL);
"""
_MATCH = """
CREATE INDEX held_content ON held (sha256, object, place);
UPDATE fresh SET (held_object, held_place) =
  (SELECT object, place FROM held WHERE held.sha256 = fresh.sha256 ORDER BY object, place LIMIT 1);
DROP TABLE held;
"""
_NEW_BYTES = "SELECT object, sum(size) FROM fresh WHERE held_object IS NULL GROUP BY object ORDER BY object"
_WHOLE = "UPDATE fresh SET new_object = ?, new_place = place WHERE object = ? AND held_object IS NULL"
_PIECES = "SELECT place, size FROM fresh WHERE object = ? AND held_object IS NULL ORDER BY place"
_PIECE = "UPDATE fresh SET new_object = ?, new_place = ? WHERE object = ? AND place = ?"
_PLACE = "SELECT held_object, held_place, new_object, new_place FROM fresh WHERE object = ? AND place = ?"


@dataclass(frozen=True, slots=True)
class Shared:
    """Packs that hold only what is new, with the keys of the earlier objects that the index points at before them."""

    packed: Packed
    before: tuple[str, ...]
    new_bytes: int


def share(packed: Packed, earlier: Path, folder: Path, *, pack_bytes: int = 256 << 20) -> Shared:
    """The same files over the packs of the list whose index file is `earlier`, as far as it has them; new packs are
    written into the empty `folder`, those of `packed` are used up.

    Where nothing is shared, or it would be over too many objects, the packs are as they were. Raises OSError where the
    disk takes no more, Problem (`manifest_corrupt`).
    """
    folder.mkdir()
    with closing(sqlite3.connect(folder / "places", isolation_level=None)) as database:
        database.executescript(_QUICK + _TABLES)
        _learn(database, packed, earlier)
        plan = _Plan(database, packed, earlier)
        if not plan.before or len(plan.before) > MOST_SHARED:
            return Shared(packed, (), packed.bytes)
        objects, sizes = plan.repacked(folder, pack_bytes)
        body = folder / "body"
        plan.write(body)
    (folder / "places").unlink()
    return Shared(replace(packed, folder=folder, objects=objects, sizes=sizes, body=body), plan.before, sum(sizes))


def _learn(database: sqlite3.Connection, packed: Packed, earlier: Path) -> None:
    """Find where the content of every file is that is not the same under its path."""
    database.execute("BEGIN")
    for lines in _chunks(_fresh(packed, earlier)):
        database.executemany("INSERT OR IGNORE INTO fresh VALUES (?, ?, ?, ?, NULL, NULL, NULL, NULL)", lines)
    if database.execute("SELECT 1 FROM fresh LIMIT 1").fetchone():
        for lines in _chunks(_held(earlier)):
            database.executemany("INSERT INTO held VALUES (?, ?, ?)", lines)
    database.execute("COMMIT")
    database.executescript(_MATCH)


def _fresh(packed: Packed, earlier: Path) -> Iterator[tuple[object, ...]]:
    for pair in merged(earlier, packed.body, new_is_body=True):
        if pair.new is not None and not pair.same:
            entry = Entry.parse(pair.new)
            if entry.size:
                yield entry.object, entry.offset, entry.size, bytes.fromhex(entry.sha256)


def _held(earlier: Path) -> Iterator[tuple[object, ...]]:
    with earlier.open("rb") as file:
        file.readline()
        for line in file:
            entry = Entry.parse(line)
            if entry.size:
                yield bytes.fromhex(entry.sha256), entry.object, entry.offset


def _chunks(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    chunk: list[tuple[object, ...]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    yield chunk


class _Plan:
    """What is taken from where. `before` are the keys of the earlier objects that are pointed at."""

    def __init__(self, database: sqlite3.Connection, packed: Packed, earlier: Path) -> None:
        self._database, self._packed, self._earlier = database, packed, earlier
        keys = header_of(earlier).objects
        self._numbers = {old: new for new, old in enumerate(sorted(self._pointed_at()))}
        self.before = tuple(keys[number] for number in self._numbers)

    def _pointed_at(self) -> set[int]:
        query = "SELECT DISTINCT held_object FROM fresh WHERE held_object IS NOT NULL"
        found = {int(row[0]) for row in self._database.execute(query)}
        for pair in merged(self._earlier, self._packed.body, new_is_body=True):
            if pair.same and pair.old is not None and (entry := Entry.parse(pair.old)).size:
                found.add(entry.object)
        return found

    def repacked(self, folder: Path, pack_bytes: int) -> tuple[tuple[Path, ...], tuple[int, ...]]:
        """The packs of what is new, in `folder`, with their bytes: those that are new as a whole are moved there, what
        is new in others is written together."""
        packs = _Packs(folder, pack_bytes)
        mixed = []
        for number, size in self._database.execute(_NEW_BYTES).fetchall():
            if size == self._packed.sizes[number]:
                self._database.execute(_WHOLE, (packs.take_whole(self._packed.objects[number], size), number))
            else:
                mixed.append(number)
        for number in mixed:
            self._gather(number, packs)
            self._packed.objects[number].unlink()
        packs.finish()
        return tuple(packs.paths), tuple(packs.sizes)

    def _gather(self, number: int, packs: _Packs) -> None:
        """Write what is new in one pack behind what is new in others."""
        pieces = self._database.execute(_PIECES, (number,)).fetchall()
        with self._packed.objects[number].open("rb") as source:
            self._database.execute("BEGIN")
            for place, size in pieces:
                source.seek(place)
                self._database.execute(_PIECE, (*packs.take_piece(source, size), number, place))
            self._database.execute("COMMIT")

    def write(self, body: Path) -> None:
        """The index without its first line, with the new places; objects of the earlier list come first."""
        with body.open("wb", buffering=_COPY) as file:
            for pair in merged(self._earlier, self._packed.body, new_is_body=True):
                if pair.new is None:
                    continue
                if pair.same and pair.old is not None:
                    entry = Entry.parse(pair.old)
                    entry = entry._replace(object=self._numbers.get(entry.object, 0))
                else:
                    entry = self._placed(Entry.parse(pair.new))
                file.write(entry.line())

    def _placed(self, entry: Entry) -> Entry:
        if not entry.size:
            return entry._replace(object=0, offset=0)
        held, held_place, new, new_place = self._database.execute(_PLACE, (entry.object, entry.offset)).fetchone()
        if held is not None:
            return entry._replace(object=self._numbers[held], offset=held_place)
        return entry._replace(object=len(self.before) + new, offset=new_place)


class _Packs:
    """The new packs in a folder, in the order in which they came to be. Not more than one is being written."""

    def __init__(self, folder: Path, pack_bytes: int) -> None:
        self._folder, self._pack_bytes = folder, pack_bytes
        self.paths: list[Path] = []
        self.sizes: list[int] = []
        self._open: PackFile | None = None

    def take_whole(self, pack: Path, size: int) -> int:
        """Move a pack here; gives its number. Only before the first piece."""
        self.paths.append(pack.replace(self._folder / pack_name(len(self.paths))))
        self.sizes.append(size)
        return len(self.paths) - 1

    def take_piece(self, source: BinaryIO, size: int) -> tuple[int, int]:
        """Copy the next bytes of a pack; gives the number of the pack where they are, and their place in it."""
        if self._open is not None and self._open.size + size > self._pack_bytes:
            self.finish()
        if self._open is None:
            self._open = PackFile(self._folder / pack_name(len(self.paths)))
        place, left = self._open.size, size
        while left:
            data = source.read(min(left, _COPY))
            if not data:
                raise corrupt("a pack is shorter than its index says")
            self._open.write(data)
            left -= len(data)
        return len(self.paths), place

    def finish(self) -> None:
        """Close the pack that is being written, if there is one."""
        if self._open is not None:
            self._open.flush()
            self._open.close()
            self.paths.append(self._open.path)
            self.sizes.append(self._open.size)
            self._open = None
