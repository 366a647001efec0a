"""Read models: what a service remembers of others' things, from the events that it heard.

A later event of the same subject wins, whatever order they arrive in.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from common.db.tables import read_models
from common.db.uow import UnitOfWork
from common.kernel.events import CloudEvent

M = TypeVar("M", bound=BaseModel)


async def remember(uow: UnitOfWork, kind: str, event: CloudEvent, doc: BaseModel, *, gone: bool = False) -> bool:
    """Keep `doc` as the newest of its subject; False where a later event was heard before."""
    make = pg_insert if uow.connection.dialect.name == "postgresql" else sqlite_insert
    values = {
        "sequence": event.sequence,
        "owner": event.owner,
        "gone": gone,
        "doc": doc.model_dump(mode="json"),
    }
    row = make(read_models).values(kind=kind, id=event.subject, **values)
    upsert = row.on_conflict_do_update(
        index_elements=["kind", "id"], set_=values, where=read_models.c.sequence < event.sequence
    ).returning(read_models.c.id)
    return (await uow.connection.execute(upsert)).first() is not None


async def forget(uow: UnitOfWork, kind: str, event: CloudEvent) -> bool:
    """Its subject is offline or deleted; what was known stays readable as a tombstone."""
    known = select(read_models.c.doc).where(read_models.c.kind == kind, read_models.c.id == event.subject)
    doc = (await uow.connection.execute(known)).scalar_one_or_none() or {}
    make = pg_insert if uow.connection.dialect.name == "postgresql" else sqlite_insert
    values = {"sequence": event.sequence, "owner": event.owner, "gone": True, "doc": doc}
    row = make(read_models).values(kind=kind, id=event.subject, **values)
    upsert = row.on_conflict_do_update(
        index_elements=["kind", "id"], set_=values, where=read_models.c.sequence < event.sequence
    ).returning(read_models.c.id)
    return (await uow.connection.execute(upsert)).first() is not None


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
