"""Loops: what is looked at again and again, so that nothing depends on an event having been heard."""

from __future__ import annotations

from common.db.leases import Lease
from common.service import Loop
from train_svc import nodes
from train_svc.context import Context
from train_svc.silent import look_after


def loops(context: Context) -> list[Loop]:
    """The attempts' loop; every instance's look at nodes and specs; the one who oversees nodes and the ledger,
    and the one who looks after what nobody speaks for."""

    async def look(_lease: Lease | None) -> None:
        await nodes.look(context)

    async def oversee(lease: Lease | None) -> None:
        await nodes.oversee(context, lease)

    clock, patience = context.kit.store.clock, context.settings.silent_seconds
    began = clock.monotonic()

    async def silent(lease: Lease | None) -> None:
        if clock.monotonic() - began >= patience:  # where all was down, owners first get time to speak again
            await look_after(context, lease)

    every = context.settings.inventory_seconds
    return [
        context.workloads.loop,
        Loop("inventory", look, every=every, leased=False),
        Loop("ledger", oversee, every=every),
        Loop("silent", silent, every=patience / 4),
    ]
