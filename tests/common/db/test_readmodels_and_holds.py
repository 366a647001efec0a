from hypothesis import given, settings
from hypothesis import strategies as st

from common.contracts.dataset import DatasetOffline
from common.db.holds import holders, release_hold, take_hold
from common.db.readmodels import forget, note, recall, recall_all, remember


async def test_the_latest_event_wins_whatever_order_they_come_in(store):
    async with store.work() as uow:
        for i in range(4):
            uow.emit(DatasetOffline(id=f"v{i}"), subject="ds-1")
    events = uow.events
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)):
        for index in order:
            async with store.work() as uow:
                await remember(uow, f"kind{order}", events[index], DatasetOffline(id=f"v{index}"))
        async with store.reading() as connection:
            kept = await recall(connection, f"kind{order}", "ds-1", DatasetOffline)
        assert kept == DatasetOffline(id="v3")


async def test_what_is_noted_together_is_the_same_as_one_by_one(store):
    async with store.work() as uow:
        for i in range(4):
            uow.emit(DatasetOffline(id=f"v{i}"), subject="ds-1")
    events = uow.events
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)):
        async with store.work() as uow:
            for index in order:
                note(uow, f"kind{order}", events[index], DatasetOffline(id=f"v{index}"))
        async with store.reading() as connection:
            assert await recall(connection, f"kind{order}", "ds-1", DatasetOffline) == DatasetOffline(id="v3")


async def test_a_late_snapshot_does_not_bring_back_what_is_gone(store):
    async with store.work() as uow:
        for _ in range(2):
            uow.emit(DatasetOffline(id="x"), subject="ds-1")
    online, gone = uow.events
    async with store.work() as uow:
        assert await forget(uow, "dataset", gone)
        assert not await remember(uow, "dataset", online, DatasetOffline(id="x"))
        assert await recall(uow.connection, "dataset", "ds-1", DatasetOffline) is None
        assert await recall_all(uow.connection, "dataset", DatasetOffline) == {"ds-1": (2, None)}


async def test_holds_are_sets(store, clock):
    async with store.work() as uow:
        for holder in ("att-1", "att-2", "att-1"):
            await take_hold(uow.connection, "ds-1", holder, clock.now())
        assert sorted(await holders(uow.connection, "ds-1")) == ["att-1", "att-2"]
        await release_hold(uow.connection, "ds-1", "att-1")
        await release_hold(uow.connection, "ds-1", "att-1")
        assert await holders(uow.connection, "ds-1") == ["att-2"]


@given(st.text(min_size=1, max_size=5))
@settings(max_examples=5)
def test_cursors_survive_any_value(value):
    from common.db.aggregates import _decode, _encode

    assert _decode(_encode(value, "job-1"), is_time=False) == (value, "job-1")
