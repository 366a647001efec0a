from datetime import timedelta

from sqlalchemy import func, select

from common.bus.memory import MemoryBus
from common.contracts.dataset import DatasetOffline
from common.db.inbox import Inbox
from common.db.janitor import KEPT, sweep
from common.db.outbox import Relay
from common.db.tables import inbox, outbox


async def count(store, table) -> int:
    async with store.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def test_only_what_is_confirmed_and_old_goes(store, clock):
    async def on_offline(uow, heard) -> None: ...

    async def emit(name: str) -> None:
        async with store.work() as uow:
            uow.emit(DatasetOffline(id=name), subject=name)

    bus, ear = MemoryBus(), Inbox(store, "test-svc", {DatasetOffline: [on_offline]})
    await bus.start(ear.subscriptions())
    await emit("old")
    await Relay(store, bus).once()
    clock.advance(KEPT.total_seconds() - 60)
    await emit("new")
    await Relay(store, bus).once()
    await emit("never sent")
    assert await sweep(store) == 0
    clock.advance(timedelta(minutes=2).total_seconds())
    assert await sweep(store) == 2
    assert (await count(store, outbox), await count(store, inbox)) == (2, 1)
