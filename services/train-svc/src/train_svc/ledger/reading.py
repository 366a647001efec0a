"""What is asked of the ledger's tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from train_svc.domain.allocation import HOLDING, OPEN, Allocation, AllocationState
from train_svc.domain.asking import DEFAULT_QUEUE
from train_svc.domain.scheduling.values import Queue
from train_svc.storage import allocations, allocations_table, queues_table

_QUEUE: TypeAdapter[Queue] = TypeAdapter(Queue)
_AT_ONCE = 500
"""How many ids one statement names."""


async def waiting_in_order(connection: AsyncConnection) -> list[Allocation]:
    """Those that wait, as they came."""
    waiting = await in_state(connection, AllocationState.WAITING)
    return sorted(waiting, key=lambda allocation: allocation.number)


async def granted_now(connection: AsyncConnection) -> list[Allocation]:
    """Those that hold something."""
    return await in_state(connection, *HOLDING)


async def open_ones(connection: AsyncConnection) -> list[Allocation]:
    """Those that a plan follows from."""
    return await in_state(connection, *OPEN)


async def in_state(connection: AsyncConnection, *states: AllocationState) -> list[Allocation]:
    """Those in one of these states."""
    return await allocations.where(connection, allocations_table.c.state.in_(states))


async def by_id(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, Allocation]:
    """The ones with these ids."""
    wanted, found = sorted(set(ids)), {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        found.update({one.id: one for one in await allocations.where(connection, allocations_table.c.id.in_(some))})
    return found


async def queues_of(connection: AsyncConnection) -> tuple[Queue, ...]:
    """All queues by name; the default one is among them whether or not somebody set it up."""
    rows = await connection.execute(select(queues_table.c.doc).order_by(queues_table.c.name))
    found = {queue.name: queue for queue in (_QUEUE.validate_python(doc) for doc in rows.scalars())}
    return tuple({DEFAULT_QUEUE: Queue(DEFAULT_QUEUE, DEFAULT_QUEUE), **found}.values())


async def confirmations(connection: AsyncConnection, ids: Iterable[str]) -> dict[str, datetime]:
    """When the owners of these last told that they know of them, where they ever did."""
    columns = allocations_table.c
    told = select(columns.id, columns.confirmed_at).where(columns.id.in_(sorted(set(ids))))
    return {row.id: row.confirmed_at for row in await connection.execute(told.where(columns.confirmed_at.is_not(None)))}


async def silent_since(connection: AsyncConnection, moment: datetime) -> list[Allocation]:
    """Those that hold something, and of which their owners did not say a word since then."""
    columns = allocations_table.c
    quiet = or_(columns.confirmed_at < moment, and_(columns.confirmed_at.is_(None), columns.updated_at < moment))
    return await allocations.where(connection, columns.state.in_(HOLDING), quiet)


def queue_doc(queue: Queue) -> dict[str, object]:
    """A queue as it is stored."""
    doc: dict[str, object] = _QUEUE.dump_python(queue, mode="json")
    return doc
