"""State and events commit together; an effect happens once however often its event comes."""

import asyncio

import pytest
from sqlalchemy import select, text

from common.bus.memory import MemoryBus
from common.contracts.dataset import DatasetDeleted, DatasetOffline
from common.db.inbox import MAX_ATTEMPTS, Heard, Inbox
from common.db.outbox import Relay
from common.db.tables import inbox as inbox_rows
from common.db.tables import outbox as outbox_rows
from common.kernel.errors import NotFound
from common.ports.bus import BusUnavailable


class Effects:
    """A service's own table, written by its handler."""

    def __init__(self) -> None:
        self.failures = 0

    async def on_offline(self, uow, heard: Heard[DatasetOffline]) -> None:
        await uow.connection.execute(text("INSERT INTO effects VALUES (:id)"), {"id": heard.data.id})
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the handler fails after it wrote")


async def effects_in(store) -> list[str]:
    async with store.reading() as connection:
        return list((await connection.execute(text("SELECT id FROM effects"))).scalars())


@pytest.fixture
async def effects(store) -> Effects:
    async with store.database.writing() as connection:
        await connection.execute(text("CREATE TABLE effects (id TEXT)"))
    return Effects()


async def emitted(store, *ids: str):
    async with store.work(actor="alice") as uow:
        for i in ids:
            uow.emit(DatasetOffline(id=i), subject=i, owner="alice")
    return uow.events


async def test_events_of_a_rolled_back_transaction_never_leave(store):
    async def fail() -> None:
        async with store.work() as uow:
            uow.emit(DatasetOffline(id="ds-1"), subject="ds-1")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await Relay(store, MemoryBus()).waiting() == 0


async def test_the_sequence_counts_within_a_subject(store):
    first = await emitted(store, "ds-1", "ds-2", "ds-1")
    assert [event.sequence for event in first] == [1, 1, 2]
    assert first[0].actor == "alice"


async def test_relay_bus_inbox_effect(store, effects):
    bus, ear = MemoryBus(), Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    await bus.start(ear.subscriptions())
    await emitted(store, "ds-1", "ds-2")
    relay = Relay(store, bus)
    assert await relay.once() == 2
    assert await relay.waiting() == 0
    assert await effects_in(store) == ["ds-1", "ds-2"]


async def test_an_event_that_comes_again_has_no_second_effect(store, effects):
    ear = Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    events = await emitted(store, "ds-1", "ds-2")
    for batch in (events, events[:1], events):
        await ear.receive("on_offline", batch)
    assert await effects_in(store) == ["ds-1", "ds-2"]


async def test_a_closed_bus_marks_nothing_as_sent(store):
    await emitted(store, "ds-1")
    with pytest.raises(BusUnavailable):
        await Relay(store, MemoryBus()).once()
    assert await Relay(store, MemoryBus()).waiting() == 1


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_set_holds_no_retry_up(store, effects, clock, hours):
    """Another instance's, or this one's: an hour ahead when it was noted, or put right since."""
    effects.failures = 1
    ear = Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    (event,) = await emitted(store, "ds-1")
    clock.advance(hours * 3600)
    await ear.receive("on_offline", [event])
    clock.advance(-hours * 3600 + 1)
    assert await ear.retry_due() == 1
    assert await effects_in(store) == ["ds-1"]


async def test_a_failing_handler_leaves_no_half_effect_and_is_tried_again(store, effects, clock):
    effects.failures = 1
    ear = Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    await ear.receive("on_offline", await emitted(store, "ds-1"))
    assert await effects_in(store) == []
    assert await ear.retry_due() == 0, "it waits first"
    clock.advance(1)
    assert await ear.retry_due() == 1
    assert await effects_in(store) == ["ds-1"]
    assert await ear.retry_due() == 0


async def test_what_fails_for_good_becomes_a_dead_letter_that_can_be_replayed(store, effects, clock):
    effects.failures = MAX_ATTEMPTS
    ear = Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    (event,) = await emitted(store, "ds-1")
    await ear.receive("on_offline", [event])
    for _ in range(MAX_ATTEMPTS - 1):
        clock.advance(1000)
        assert await ear.retry_due() == 1
    clock.advance(1000)
    assert await ear.retry_due() == 0
    (letter,) = await ear.dead()
    assert letter.event == event
    assert "fails after it wrote" in letter.error
    await ear.replay("on_offline", event.id)
    assert await ear.retry_due() == 1
    assert await effects_in(store) == ["ds-1"]
    assert await ear.dead() == []
    with pytest.raises(NotFound):
        await ear.replay("on_offline", event.id)


async def test_dead_letters_come_in_pages_and_are_replayed_all_at_once(store, effects, clock, monkeypatch):
    monkeypatch.setattr("common.db.inbox.MAX_ATTEMPTS", 1)
    effects.failures = 7
    ear = Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    events = await emitted(store, *(f"ds-{n}" for n in range(6)))
    await ear.receive("on_offline", events)  # at one moment: their place must tell them apart all the same
    found, after = [], None
    while some := await ear.dead(after=after, limit=2):
        found += [letter.event.id for letter in some]
        after = some[-1].place
    assert sorted(found) == sorted(event.id for event in events)
    assert sorted(await ear.replay_all()) == sorted(("on_offline", event.id) for event in events)
    assert await ear.retry_due() == 6
    assert await ear.dead() == []
    assert sorted(await effects_in(store)) == [f"ds-{n}" for n in range(6)]


async def test_one_bad_event_does_not_hold_up_its_batch(store, effects):
    effects.failures = 2  # once for the batch, once for the first of them alone
    ear = Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    await ear.receive("on_offline", await emitted(store, "ds-1", "ds-2", "ds-3"))
    assert await effects_in(store) == ["ds-2", "ds-3"]


async def test_of_effects_that_are_written_together_a_bad_one_holds_up_no_other(store, effects):
    write = text("INSERT INTO effects VALUES (:id)")

    async def on_offline(uow, heard: Heard[DatasetOffline]) -> None:
        uow.later(write, {"id": None if heard.data.id == "ds-2" else heard.data.id})

    async with store.database.writing() as connection:
        await connection.execute(text("DROP TABLE effects"))
        await connection.execute(text("CREATE TABLE effects (id TEXT NOT NULL)"))
    ear = Inbox(store, "test-svc", {DatasetOffline: [on_offline]})
    events = await emitted(store, "ds-1", "ds-2", "ds-3")
    for _ in range(2):
        await ear.receive("on_offline", events)
        assert await effects_in(store) == ["ds-1", "ds-3"]
    async with store.reading() as connection:
        states = select(inbox_rows.c.event_id, inbox_rows.c.state)
        found = dict((await connection.execute(states)).tuples().all())
    assert found == {event.id: "retry" if event.subject == "ds-2" else "done" for event in events}


async def test_one_queue_for_a_handler_that_hears_several_types(store):
    async def on_anything(uow, heard) -> None: ...

    ear = Inbox(store, "test-svc", {DatasetOffline: [on_anything], DatasetDeleted: [on_anything]})
    (subscription,) = ear.subscriptions()
    assert subscription.queue == "test-svc.on_anything"
    assert subscription.types == {"dataset.offline", "dataset.deleted"}


async def test_the_ledger_of_outbox_against_inbox_agrees(store, effects):
    bus, ear = MemoryBus(), Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    await bus.start(ear.subscriptions())
    await emitted(store, *(f"ds-{i}" for i in range(250)))
    relay = Relay(store, bus)
    while await relay.once():
        pass
    async with store.reading() as connection:
        sent = set((await connection.execute(select(outbox_rows.c.event_id))).scalars())
        done = set(
            (await connection.execute(select(inbox_rows.c.event_id).where(inbox_rows.c.state == "done"))).scalars()
        )
    assert sent == done
    assert len(sent) == 250


class Moody(MemoryBus):
    """A bus on which the unexpected happens first."""

    failures = 2

    async def publish(self, events):
        if self.failures:
            self.failures -= 1
            raise OSError("No space left on device")
        await super().publish(events)


async def goes_on(clock, task, done) -> None:
    async with asyncio.timeout(60):
        while not await done():
            assert not task.done()
            clock.advance(1.0)
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_relay_outlives_what_nobody_expected(store, clock, effects):
    bus, ear = Moody(), Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    await bus.start(ear.subscriptions())
    relay = Relay(store, bus)
    task = asyncio.create_task(relay.run())
    await emitted(store, "ds-1")

    async def done() -> bool:
        return await relay.waiting() == 0

    await goes_on(clock, task, done)
    assert await effects_in(store) == ["ds-1"]


async def test_retries_outlive_what_nobody_expected(store, clock, effects, monkeypatch):
    bus, ear = MemoryBus(), Inbox(store, "test-svc", {DatasetOffline: [effects.on_offline]})
    await bus.start(ear.subscriptions())
    effects.failures = 1
    await emitted(store, "ds-1")
    await Relay(store, bus).once()
    assert await effects_in(store) == []
    honest, failures = ear.retry_due, [OSError("No space left on device")] * 2

    async def moody() -> int:
        if failures:
            raise failures.pop()
        return await honest()

    monkeypatch.setattr(ear, "retry_due", moody)

    async def done() -> bool:
        return await effects_in(store) == ["ds-1"]

    await goes_on(clock, asyncio.create_task(ear.run()), done)
