"""What has served its time is removed: confirmed events, notes of heard ones, answers kept for repeated requests.

They are kept long enough that whatever still repeats finds them: a duplicate that comes after its note was removed
would have its effect twice.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete

from common.db.tables import idempotency, inbox, outbox
from common.db.uow import Store

KEPT = timedelta(days=14)
"""How long confirmed and heard events are kept."""

ANSWERS_KEPT = timedelta(days=2)
"""How long the answer to a create with an Idempotency-Key is kept."""


async def sweep(store: Store) -> int:
    """Remove what is older; gives how many rows went. Dead letters and unconfirmed events stay for good."""
    now = store.clock.now()
    old = [
        delete(outbox).where(outbox.c.sent_at < now - KEPT),
        delete(inbox).where(inbox.c.state == "done", inbox.c.done_at < now - KEPT),
        delete(idempotency).where(idempotency.c.created_at < now - ANSWERS_KEPT),
    ]
    async with store.database.writing() as connection:
        return sum([(await connection.execute(statement)).rowcount for statement in old])
