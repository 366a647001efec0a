"""What administrators do with queues: each writes inside the caller's transaction, and the plan follows at once."""

from __future__ import annotations

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from common.db.uow import UnitOfWork
from common.kernel.errors import Conflict, NotFound
from common.kernel.names import raise_faults
from train_svc.domain.allocation import OPEN
from train_svc.domain.queues import QueueRequest, faults_of, queue_of
from train_svc.ledger import Ledger
from train_svc.ledger.reading import queue_doc
from train_svc.storage import allocations_table, queues_table


async def put(ledger: Ledger, uow: UnitOfWork, name: str, request: QueueRequest) -> None:
    """Make or change a queue. Raises Invalid (`invalid_queue`, all faults at once)."""
    await ledger.alone(uow)
    raise_faults("queue", list(faults_of(name, request, await ledger.queues(uow.connection))))
    make = pg_insert if uow.connection.dialect.name == "postgresql" else sqlite_insert
    row = {"doc": queue_doc(queue_of(name, request)), "updated_at": uow.clock.now()}
    stored = make(queues_table).values(name=name, **row).on_conflict_do_update(index_elements=["name"], set_=row)
    await uow.connection.execute(stored)
    await ledger.requeue(uow)


async def remove(ledger: Ledger, uow: UnitOfWork, name: str) -> None:
    """Remove a queue. Raises NotFound (`queue_not_found`), Conflict (`queue_in_use`)."""
    await ledger.alone(uow)
    used = exists().where(allocations_table.c.queue == name, allocations_table.c.state.in_(OPEN))
    if name != "default" and (await uow.connection.execute(select(used))).scalar_one():
        raise Conflict("queue_in_use", f"Somebody waits in the queue {name}, or runs of it. Let them end first.")
    removed = await uow.connection.execute(delete(queues_table).where(queues_table.c.name == name))
    if not removed.rowcount:
        raise NotFound("queue_not_found", f"There is no queue {name!r} that was set up.")
    await ledger.requeue(uow)
