"""How the outbox, the queues and the inbox of a service stand: what an operator looks at first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from common.db.tables import inbox, outbox
from common.db.uow import Store
from common.ports.bus import Bus
from common.telemetry.figures import Figure

_WAITING = select(func.count(), func.min(outbox.c.created_at)).where(outbox.c.sent_at.is_(None))
_TROUBLED = select(inbox.c.state, func.count()).where(inbox.c.state.in_(("retry", "dead"))).group_by(inbox.c.state)


async def standing(store: Store) -> Sequence[Figure]:
    """Events that wait to be sent, how long the oldest has, and those that handlers failed with."""
    async with store.reading() as connection:
        count, oldest = (await connection.execute(_WAITING)).one()
        troubled = {row[0]: row[1] for row in await connection.execute(_TROUBLED)}
    whose = {"service": store.source}
    return [
        Figure("modelyard_outbox_rows", "Events that are not sent yet", [(whose, count)]),
        Figure("modelyard_outbox_age_seconds", "Age of the oldest of them", [(whose, _age(store, oldest))]),
        Figure("modelyard_inbox_retries", "Events waiting for another try", [(whose, troubled.get("retry", 0))]),
        Figure("modelyard_dead_letters", "Events that a handler could not take", [(whose, troubled.get("dead", 0))]),
    ]


async def queues(bus: Bus, service: str) -> Sequence[Figure]:
    """What lies in the bus for each of its handlers; nothing where the bus keeps nothing. Raises BusUnavailable."""
    depths = [({"service": service, "handler": one.handler}, one) for one in await bus.depths(service)]
    waiting = [(labels, float(one.waiting)) for labels, one in depths]
    dead = [(labels, float(one.dead)) for labels, one in depths]
    return [
        Figure("modelyard_queue_depth", "Events in the broker that no listener has in hand", waiting),
        Figure("modelyard_queue_dead_letters", "Deliveries that the broker has set aside", dead),
    ]


def _age(store: Store, since: datetime | None) -> float:
    return max((store.clock.now() - since).total_seconds(), 0.0) if since is not None else 0.0
