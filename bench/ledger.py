"""The ledger on PostgreSQL: requests that wait are granted as fast as others give back, in as many plans as it takes.

Every device is given back and promised anew again and again; a round ends what runs and grants what then fits, in one
transaction, with all rows, counters and events written that the platform writes.
"""

from __future__ import annotations

import asyncio
import time

from bench.house import row
from common.contracts.allocation import AllocationRequested
from common.contracts.shared import Resources
from common.db.database import Database
from common.db.migrate import upgrade
from common.db.uow import Store
from common.kernel.clock import SystemClock
from common.ports.inventory import Device, Node
from tests.servers.postgres import Postgres
from tests.train_svc.conftest import Nodes
from train_svc.ledger import Ledger, granted_now
from train_svc.service import MIGRATIONS

NAME = "ledger"
LEAST = 500.0
NODES, DEVICES = 32, 8
WAITING = 4 * NODES * DEVICES
BATCH = 32
"""How many end within one transaction."""


def run() -> list[dict]:
    """Admissions a second."""
    rate = measured()
    return [row("ledger.admissions", rate, f"/s, {BATCH} a transaction", LEAST, goal=">= 500/s", met=rate >= LEAST)]


async def admissions(url: str) -> float:
    """How many requests are granted in a second of the wall clock, while others wait and give back."""
    database = Database(url)
    await upgrade(database, MIGRATIONS)
    store = Store(database, "train-svc", SystemClock())
    ledger = Ledger(Nodes([_node(n) for n in range(NODES)]), 1.0, holder="bench")
    await ledger.look()
    for first in range(0, WAITING, 64):
        async with store.work() as uow:
            for number in range(first, first + 64):
                await ledger.take(uow, _ask(number))
    granted, began = 0, time.perf_counter()
    for _ in range(WAITING // (NODES * DEVICES) - 1):
        async with store.reading() as connection:
            ending = await granted_now(connection)
        for first in range(0, len(ending), BATCH):
            async with store.work() as uow:
                granted += await ledger.end(uow, [one.id for one in ending[first : first + BATCH]])
    seconds = time.perf_counter() - began
    await database.close()
    return granted / seconds


def _node(number: int) -> Node:
    devices = tuple(Device(f"gpu-{n}", "gpu", "A100", 80 << 30, simulated=True) for n in range(DEVICES))
    return Node(f"node-{number}", 64.0, 256 << 30, devices)


def _ask(number: int) -> AllocationRequested:
    return AllocationRequested(
        id=f"alloc-{number:05}",
        workload=f"w-{number}",
        kind="replica",
        owner=f"user-{number % 7}",
        resources=Resources(accelerator="gpu", count=1, cpu=1, memory=1 << 30),
    )


def measured() -> float:
    """On a server of its own that waits for its disk."""
    postgres = Postgres(durable=True)
    try:
        postgres.start()
        return asyncio.run(_on(postgres))
    finally:
        postgres.close()


async def _on(postgres: Postgres) -> float:
    return await admissions(await postgres.create())
