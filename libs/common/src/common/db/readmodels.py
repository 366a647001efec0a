"""Read models: what a service remembers of others' things, from the events that it heard.

A later event of the same subject wins, whatever order they arrive in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import read_models
from common.db.uow import UnitOfWork
from common.kernel.events import CloudEvent

M = TypeVar("M", bound=BaseModel)


def _upsert(make: Callable[..., Any]) -> Any:
    """Built once: to build and compile it for every event would cost more than to execute it."""
    row = make(read_models)
    newer = {name: row.excluded[name] for name in ("sequence", "owner", "gone", "doc")}
    older = read_models.c.sequence < row.excluded.sequence
    return row.on_conflict_do_update(index_elements=["kind", "id"], set_=newer, where=older)


_UPSERT = {"postgresql": _upsert(pg_insert), "sqlite": _upsert(sqlite_insert)}
_ASKED = {dialect: upsert.returning(read_models.c.id) for dialect, upsert in _UPSERT.items()}


async def remember(uow: UnitOfWork, kind: str, event: CloudEvent, doc: BaseModel) -> bool:
    """Keep `doc` as the newest of its subject; False where a later event was heard before."""
    return await _kept(uow, _row(kind, event, doc.model_dump(mode="json")))


def note(uow: UnitOfWork, kind: str, event: CloudEvent, doc: BaseModel) -> None:
    """The same for who does nothing else about it: it is written at the end of the transaction, with all others."""
    uow.later(_UPSERT[uow.connection.dialect.name], _row(kind, event, doc.model_dump(mode="json")))


async def forget(uow: UnitOfWork, kind: str, event: CloudEvent) -> bool:
    """Its subject is offline or deleted; what was known stays readable as a tombstone."""
    known = select(read_models.c.doc).where(read_models.c.kind == kind, read_models.c.id == event.subject)
    doc = (await uow.connection.execute(known)).scalar_one_or_none() or {}
    return await _kept(uow, _row(kind, event, doc, gone=True))


def _row(kind: str, event: CloudEvent, doc: dict[str, Any], *, gone: bool = False) -> dict[str, Any]:
    said = {"sequence": event.sequence, "owner": event.owner, "gone": gone, "doc": doc}
    return {"kind": kind, "id": event.subject, **said}


async def _kept(uow: UnitOfWork, row: dict[str, Any]) -> bool:
    return (await uow.connection.execute(_ASKED[uow.connection.dialect.name], row)).first() is not None


async def recall(connection: AsyncConnection, kind: str, subject: str, model: type[M]) -> M | None:
    """What is known of it; None where it is unknown or gone."""
    known = select(read_models.c.doc).where(
        read_models.c.kind == kind, read_models.c.id == subject, read_models.c.gone.is_(False)
    )
    doc = (await connection.execute(known)).scalar_one_or_none()
    return model.model_validate(doc) if doc is not None else None


async def recall_all(connection: AsyncConnection, kind: str, model: type[M]) -> dict[str, tuple[int, M | None]]:
    """Everything of a kind by its id, with the sequence of the event that told it last; None where it is gone."""
    rows = select(read_models.c.id, read_models.c.sequence, read_models.c.gone, read_models.c.doc)
    found = (await connection.execute(rows.where(read_models.c.kind == kind))).all()
    return {row.id: (row.sequence, None if row.gone else model.model_validate(row.doc)) for row in found}
