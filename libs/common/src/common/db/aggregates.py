"""Aggregates in tables: the columns that SQL needs, and the whole as JSON.

Every aggregate is a frozen dataclass of the domain with at least `id`, `name`, `owner`, `state`, `version`,
`created_at` and `updated_at`. A save is guarded by `version`: of two writers the second gets a Conflict.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.database import may_lock
from common.db.direct import Direct, read
from common.db.tables import Instant, Json
from common.kernel.errors import BadRequest, Conflict, NotFound


class Stored(Protocol):
    """What an aggregate has at least."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def owner(self) -> str: ...  # noqa: D102
    @property
    def state(self) -> str: ...  # noqa: D102
    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def created_at(self) -> datetime: ...  # noqa: D102
    @property
    def updated_at(self) -> datetime: ...  # noqa: D102


T = TypeVar("T", bound=Stored)


def aggregate_table(name: str, metadata: MetaData, *extra: Column[Any]) -> Table:
    """The table of one kind of aggregate; `shared` says whether others than the owner may see it."""
    return Table(
        name,
        metadata,
        Column("id", String(48), primary_key=True),
        Column("name", String(255), nullable=False),
        Column("owner", String(48), nullable=False, index=True),
        Column("shared", Boolean, nullable=False, default=False),
        Column("state", String(24), nullable=False, index=True),
        Column("version", Integer, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("updated_at", Instant, nullable=False),
        *extra,
        Column("doc", Json, nullable=False),
    )


@dataclass(frozen=True)
class PageRequest:
    """What part of a list is wanted. `sort` is a column, with `-` before it for descending."""

    limit: int = 50
    cursor: str | None = None
    sort: str = "-created_at"


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list; `next_cursor` is None at the end."""

    items: Sequence[T]
    next_cursor: str | None


SORTABLE = ("created_at", "updated_at", "name", "state")


class Aggregates(Generic[T]):
    """The repository of one kind of aggregate.

    `columns` derives the extra columns from an item; `shared` says whether others may see it.
    """

    def __init__(
        self,
        kind: str,
        table: Table,
        model: type[T],
        *,
        shared: Callable[[T], bool] = lambda item: False,
        columns: Callable[[T], Mapping[str, Any]] = lambda item: {},
    ) -> None:
        self.kind = kind
        self.table = table
        self._adapter: TypeAdapter[T] = TypeAdapter(model)
        self._shared = shared
        self._columns = columns
        # built once: building and hashing a statement costs more than running it
        self._insert = insert(table)
        by_id = select(table.c.doc).where(table.c.id == bindparam("its_id"))
        self._by_id, self._by_id_alone = Direct(by_id), Direct(by_id.with_for_update(key_share=True))
        self._update = Direct(
            update(table).where(table.c.id == bindparam("its_id"), table.c.version == bindparam("its_version"))
        )

    def _row(self, item: T) -> dict[str, Any]:
        return {
            "id": item.id,
            "name": item.name,
            "owner": item.owner,
            "shared": self._shared(item),
            "state": str(item.state),
            "version": item.version,
            "created_at": item.created_at,
            "updated_at": item.updated_at,
            "doc": self._adapter.dump_python(item, mode="json"),
            **self._columns(item),
        }

    async def add(self, connection: AsyncConnection, item: T) -> None:
        """Store a new one."""
        await connection.execute(self._insert, self._row(item))

    async def save(self, connection: AsyncConnection, item: T, *, now: datetime) -> T:
        """Store a changed one; gives it with its new version. Raises Conflict (`stale`) where it changed meanwhile."""
        newer = replace(item, version=item.version + 1, updated_at=now)
        guard = {"its_id": item.id, "its_version": item.version}
        done = await self._update.run(connection, self._row(newer) | guard)
        if not done.changed:
            raise Conflict("stale", f"The {self.kind} {item.id} was changed meanwhile. Read it again and repeat.")
        return newer

    async def add_all(self, connection: AsyncConnection, items: Sequence[T]) -> None:
        """Store new ones, in one crossing."""
        if items:
            await connection.execute(self._insert, [self._row(item) for item in items])

    async def save_all(self, connection: AsyncConnection, items: Sequence[T], *, now: datetime) -> list[T]:
        """Store changed ones in one crossing, and give them with their new versions.

        Only for what nobody else can have changed meanwhile, since a lock that all writers take is held: that the
        versions still are what was read can't be told for many at once.
        """
        newer = [replace(item, version=item.version + 1, updated_at=now) for item in items]
        if items:
            guards = [{"its_id": item.id, "its_version": item.version} for item in items]
            rows = [self._row(item) | guard for item, guard in zip(newer, guards, strict=True)]
            await self._update.run_all(connection, rows)
        return newer

    async def find(self, connection: AsyncConnection, item_id: str) -> T | None:
        """The one with that id, None where there is none. Who may write has it alone until the transaction ends."""
        found = self._by_id_alone if may_lock(connection) else self._by_id
        return read(self._adapter, await found.run(connection, {"its_id": item_id}))

    async def get(self, connection: AsyncConnection, item_id: str) -> T:
        """The one with that id. Raises NotFound (`<kind>_not_found`)."""
        if (item := await self.find(connection, item_id)) is None:
            raise missing(self.kind, item_id)
        return item

    async def remove(self, connection: AsyncConnection, item_id: str) -> None:
        """Delete the row; an absent one is no error."""
        await connection.execute(delete(self.table).where(self.table.c.id == item_id))

    async def where(self, connection: AsyncConnection, *conditions: ColumnElement[bool]) -> list[T]:
        """All that meet the conditions, oldest first."""
        found = select(self.table.c.doc).where(*conditions).order_by(self.table.c.id)
        return [self._adapter.validate_python(doc) for doc in (await connection.execute(found)).scalars()]

    async def page(self, connection: AsyncConnection, page: PageRequest, *conditions: ColumnElement[bool]) -> Page[T]:
        """One page of those that meet the conditions. Raises BadRequest (`bad_cursor`, `bad_sort`)."""
        key, descending = self._sorting(page.sort)
        order = (key.desc(), self.table.c.id.desc()) if descending else (key.asc(), self.table.c.id.asc())
        query = select(self.table.c.id, key.label("sort_key"), self.table.c.doc).where(*conditions)
        if page.cursor is not None:
            query = query.where(self._after(page.cursor, key, descending))
        rows = (await connection.execute(query.order_by(*order).limit(page.limit + 1))).all()
        shown = rows[: page.limit]
        more = len(rows) > page.limit
        cursor = _encode(shown[-1].sort_key, shown[-1].id) if more and shown else None
        return Page([self._adapter.validate_python(row.doc) for row in shown], cursor)

    def _sorting(self, sort: str) -> tuple[Column[Any], bool]:
        name = sort.removeprefix("-")
        if name not in SORTABLE:
            raise BadRequest("bad_sort", f"Can't sort by {name!r}. Possible: {', '.join(SORTABLE)}, with - to descend.")
        return self.table.c[name], sort.startswith("-")

    def _after(self, cursor: str, key: Column[Any], descending: bool) -> ColumnElement[bool]:
        value, item_id = _decode(cursor, is_time=isinstance(key.type, Instant))
        tie = self.table.c.id < item_id if descending else self.table.c.id > item_id
        beyond = key < value if descending else key > value
        return or_(beyond, and_(key == value, tie))


def missing(kind: str, item_id: str) -> NotFound:
    """The error for an id that is absent or not to be seen: the same words for both."""
    return NotFound(f"{kind}_not_found", f"There is no {kind} {item_id}, or it is not visible to you.")


def _encode(value: Any, item_id: str) -> str:
    text = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([text, item_id]).encode()).decode().rstrip("=")


def _decode(cursor: str, *, is_time: bool) -> tuple[Any, str]:
    try:
        value, item_id = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        return (datetime.fromisoformat(value) if is_time else str(value)), str(item_id)
    except (ValueError, TypeError) as error:
        raise BadRequest("bad_cursor", "The cursor is not one that a list gave. Start without it.") from error
