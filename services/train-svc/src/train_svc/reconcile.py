"""Loops: what is looked at again and again, so that nothing depends on an event having been heard."""

from __future__ import annotations

from common.db.leases import Lease
from common.loops import Loop
from train_svc import nodes
from train_svc.context import Context
from train_svc.overdue import take_further
from train_svc.silent import look_after


def loops(context: Context) -> list[Loop]:
    """The attempts' loop; every instance's look at nodes and specs; the one who oversees nodes and the ledger,
    the one who looks after what nobody speaks for, and the one who ends what does not give way."""

    async def look(_lease: Lease | None) -> None:
        await nodes.look(context)

    async def oversee(lease: Lease | None) -> None:
        await nodes.oversee(context, lease)

    clock, patience = context.kit.store.clock, context.settings.silent_seconds
    began = clock.monotonic()

    async def silent(lease: Lease | None) -> None:
        if clock.monotonic() - began >= patience:  # where all was down, owners first get time to speak again
            await look_after(context, lease)

    async def overdue(lease: Lease | None) -> None:
        await take_further(context, lease)

    every, slack = context.settings.inventory_seconds, context.settings.overdue_seconds
    return [
        context.workloads.loop,
        Loop("inventory", look, every=every, leased=False),
        Loop("ledger", oversee, every=every),
        Loop("silent", silent, every=patience / 4),
        Loop("overdue", overdue, every=max(slack / 4, 1.0)),
    ]
