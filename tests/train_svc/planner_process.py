"""A scheduler as a process of its own, which asks and gives back as fast as it can, and may be stopped anywhere.

`python -m tests.train_svc.planner_process URL NAME`: a line on its output for each thing that it has done.
"""

from __future__ import annotations

import asyncio
import sys

from common.contracts.allocation import AllocationRequested
from common.contracts.shared import Resources
from common.db.database import Database
from common.db.leases import Lease, LeaseLost, Leases
from common.db.uow import Store
from common.kernel.clock import SystemClock
from common.kernel.errors import Unavailable
from tests.train_svc.conftest import Nodes, gpus
from train_svc.ledger import Ledger

LEASE_SECONDS = 0.5


async def main(url: str, name: str) -> None:
    """Until it is killed."""
    database = Database(url)
    store, leases = Store(database, "train-svc", SystemClock()), Leases(database, name)
    ledger = Ledger(Nodes([gpus(4)]), 1.0, holder=name)
    await ledger.look()
    number = 0
    while True:
        number += 1
        try:
            lease = await leases.acquire("ledger", LEASE_SECONDS)
            await ask_and_give_back(store, ledger, leases, lease, f"alloc-{name}-{number}")
        except (LeaseLost, Unavailable) as problem:
            sys.stdout.write(f"{name}: {problem!r}\n")


async def ask_and_give_back(store: Store, ledger: Ledger, leases: Leases, lease: Lease | None, name: str) -> None:
    """Ask for two devices, plan under the lease where it is held, and give them back a little later."""
    ask = AllocationRequested(
        id=name,
        workload=f"w-{name}",
        kind="replica",
        owner="alice",
        resources=Resources(accelerator="gpu", count=2, cpu=0.1),
    )
    async with store.work() as uow:
        taken = await ledger.take(uow, ask)
    sys.stdout.write(f"{name} {taken.state} {ledger.epoch}\n")
    sys.stdout.flush()
    if lease is not None:
        async with store.work() as uow:
            await leases.guard(uow.connection, lease)
            await ledger.fill(uow)
            await leases.guard(uow.connection, lease)
    async with store.work() as uow:
        await ledger.free(uow, name, f"w-{name}", "replica", "alice")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
