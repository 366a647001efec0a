"""From a commit in one service to the effect in another: events a second, and how long one takes.

The limit is the same two durable SQLite commits for each event, written straight with the driver and no bus between.
"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

from sqlalchemy import text

from bench.house import median, percentile, row
from common.bus.memory import MemoryBus
from common.contracts.dataset import DatasetOffline
from common.db.database import Database
from common.db.inbox import Heard, Inbox
from common.db.migrate import upgrade
from common.db.outbox import Relay
from common.db.uow import Store, UnitOfWork
from common.kernel.clock import SystemClock

NAME = "events"
BURST = 2000
RATE = 200.0
PACED = 600
GOAL_RATIO = 0.1
GOAL_P50_MS = 10.0


class Effects:
    """The hearing service: notes when the effect of each event was committed."""

    def __init__(self) -> None:
        self.done: dict[str, float] = {}

    async def on_offline(self, uow: UnitOfWork, heard: Heard[DatasetOffline]) -> None:
        """One row, the effect."""
        await uow.connection.execute(text("INSERT INTO effects VALUES (:id)"), {"id": heard.data.id})
        uow.after_commit(lambda: self.done.update({heard.data.id: time.perf_counter()}))


async def measured(folder: Path) -> tuple[float, list[float]]:
    """Events a second in a burst of single commits, and the seconds of each event at a steady rate."""
    teller, hearer = (Database(f"sqlite+aiosqlite:///{folder / name}.sqlite3") for name in ("teller", "hearer"))
    for database in (teller, hearer):
        await upgrade(database)
    async with hearer.writing() as connection:
        await connection.execute(text("CREATE TABLE effects (id TEXT PRIMARY KEY)"))
    clock, bus, effects = SystemClock(), MemoryBus(), Effects()
    store = Store(teller, "teller-svc", clock)
    ear = Inbox(Store(hearer, "hearer-svc", clock), "hearer-svc", {DatasetOffline: [effects.on_offline]})
    await bus.start(ear.subscriptions())
    relay = asyncio.create_task(Relay(store, bus).run())

    async def tell(name: str) -> float:
        async with store.work() as uow:
            uow.emit(DatasetOffline(id=name), subject=name)
        return time.perf_counter()

    began = time.perf_counter()
    for i in range(BURST):
        await tell(f"burst-{i}")
    await until(effects, BURST)
    rate = BURST / (time.perf_counter() - began)
    sent = {}
    for i in range(PACED):
        due = time.perf_counter() + 1 / RATE
        sent[f"paced-{i}"] = await tell(f"paced-{i}")
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await until(effects, BURST + PACED)
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    for database in (teller, hearer):
        await database.close()
    return rate, [effects.done[name] - at for name, at in sent.items()]


async def until(effects: Effects, count: int) -> None:
    """Wait for that many effects."""
    while len(effects.done) < count:
        await asyncio.sleep(0.001)


def straight(folder: Path) -> float:
    """Events a second when each is one durable commit here and one there, by the driver alone."""
    files = [sqlite3.connect(folder / f"straight-{i}.sqlite3", isolation_level=None) for i in range(2)]
    for file in files:
        file.execute("PRAGMA journal_mode=WAL")
        file.execute("PRAGMA synchronous=FULL")
        file.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, payload TEXT)")
    began = time.perf_counter()
    for i in range(BURST):
        for file in files:
            file.execute("BEGIN IMMEDIATE")
            file.execute("INSERT INTO rows VALUES (?, ?)", (f"{i}", "x" * 300))
            file.execute("COMMIT")
    took = time.perf_counter() - began
    for file in files:
        file.close()
    return BURST / took


def run() -> list[dict]:
    """Three rounds each, medians."""
    rates, limits, waits = [], [], []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            rate, seconds = asyncio.run(measured(Path(folder)))
            rates.append(rate)
            waits += seconds
            limits.append(straight(Path(folder)))
    rate, limit = median(rates), median(limits)
    p50, p99 = percentile(waits, 0.5) * 1000, percentile(waits, 0.99) * 1000
    two_commits = 1000 / limit
    return [
        row(
            "events.rate",
            rate,
            "events/s",
            limit,
            goal=f">= {GOAL_RATIO} of two commits",
            met=rate >= GOAL_RATIO * limit,
        ),
        row(
            "events.p50",
            p50,
            "ms",
            two_commits,
            goal=f"<= {GOAL_P50_MS:.0f} ms at {RATE:.0f}/s",
            met=p50 <= GOAL_P50_MS,
        ),
        row("events.p99", p99, "ms", two_commits, goal="<= 50 ms", met=p99 <= 50),
    ]
