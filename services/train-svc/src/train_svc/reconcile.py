"""Loops: what is looked at again and again, so that nothing depends on an event having been heard."""

from __future__ import annotations

from common.db.leases import Lease
from common.service import Loop
from train_svc.context import Context
from train_svc.ledger import waiting_in_order


def loops(context: Context) -> list[Loop]:
    """The attempts' loop, and the ledger's look at nodes and devices."""

    async def look(_lease: Lease | None) -> None:
        await context.ledger.look()

    async def fill(lease: Lease | None) -> None:
        await context.ledger.look()
        async with context.kit.store.reading() as connection:
            if not await waiting_in_order(connection):
                return
        async with context.kit.store.work() as uow:
            if lease is not None:
                await context.kit.leases.guard(uow.connection, lease)
            await context.ledger.fill(uow)

    every = context.settings.inventory_seconds
    return [
        context.workloads.loop,
        Loop("inventory", look, every=every, leased=False),
        Loop("ledger", fill, every=every),
    ]
