"""What only PostgreSQL has to prove: it goes away and comes back, it is shared by several instances, it is bounded."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
import uvloop
from sqlalchemy import text
from sqlalchemy.engine import make_url

from common.contracts.dataset import DatasetOffline
from common.db import postgres as adapter
from common.db.database import Database
from common.db.inbox import Inbox
from common.db.migrate import upgrade
from common.db.outbox import Relay
from common.db.uow import Store
from common.kernel.clock import ManualClock, SystemClock
from common.kernel.errors import StorageFull, Unavailable
from common.kernel.events import CloudEvent
from common.ports.bus import Broadcast, BusCapabilities, QueueDepth, Subscription
from common.ports.dead import DeadDeliveries
from tests.common.db.conftest import migrate
from tests.servers.postgres import Postgres
from tests.servers.proxy import Proxy
from tests.support.sockets import waits_to_fill_packets


@pytest.fixture
async def url(postgres: Postgres) -> AsyncIterator[str]:
    made = await postgres.copy_of("common", migrate)
    yield made
    await postgres.drop(made)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    made = Database(url)
    yield made
    await made.close()


async def one(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(text("SELECT 1"))).scalar_one())


async def well(database: Database) -> int:
    """The same, as soon as it goes within limits that are too short for a busy machine."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await one(database)
            except Unavailable:
                await asyncio.sleep(0.05)


async def test_after_the_server_was_killed_nobody_sees_a_stale_connection(postgres, database):
    await asyncio.gather(*(one(database) for _ in range(4)))
    await asyncio.to_thread(postgres.kill)
    with pytest.raises(Unavailable, match=r"does not take connections|connection was lost"):
        await one(database)
    await asyncio.to_thread(postgres.start)
    assert await asyncio.gather(*(one(database) for _ in range(8))) == [1] * 8


async def test_a_transaction_that_the_server_takes_along_says_so_and_leaves_nothing(postgres, database):
    async def write() -> None:
        async with database.writing() as connection:
            await connection.execute(text("INSERT INTO sequences VALUES ('half', 1)"))
            postgres.restart()
            await connection.execute(text("INSERT INTO sequences VALUES ('done', 1)"))

    with pytest.raises(Unavailable, match="connection was lost"):
        await write()
    async with database.reading() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM sequences"))).scalar_one() == 0


async def test_a_server_that_does_not_answer_is_given_up(postgres, url, monkeypatch):
    monkeypatch.setattr(adapter, "CONNECT_SECONDS", 0.2)
    async with Proxy(postgres.port) as proxy:
        address = make_url(postgres.url(make_url(url).database or "", proxy.port))
        database = Database(url)
        database.engine = database._reader = adapter.pooled(address, pool_size=2, no_answer_seconds=0.2)
        assert await well(database) == 1
        proxy.black_hole()
        with pytest.raises(Unavailable, match="does not answer"):
            await one(database)
        with pytest.raises(Unavailable, match="does not take connections"):
            await one(database)
        proxy.heal()
        assert await well(database) == 1
        await database.close()


async def test_a_statement_that_takes_too_long_is_ended(url, monkeypatch):
    monkeypatch.setattr(adapter, "STATEMENT_SECONDS", 0.1)
    database = Database(url)
    with pytest.raises(Unavailable, match="statement took too long"):
        async with database.writing() as connection:
            await connection.execute(text("SELECT pg_sleep(10)"))
    assert await well(database) == 1
    await database.close()


async def test_a_lock_that_is_not_free_in_time_is_not_waited_for(url, monkeypatch):
    monkeypatch.setattr(adapter, "LOCK_SECONDS", 0.1)
    database = Database(url)
    async with database.writing() as first:
        await first.execute(text("LOCK TABLE leases"))
        with pytest.raises(Unavailable, match="lock was not free"):
            async with database.writing() as second:
                await second.execute(text("LOCK TABLE leases"))
    await database.close()


async def test_a_cancellation_in_the_middle_of_a_statement_stays_one(database):
    async def wait() -> None:
        async with database.writing() as connection:
            await connection.execute(text("SELECT pg_sleep(10)"))

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await one(database) == 1


async def test_a_full_disk_is_said_to_be_full(database):
    full = text("DO $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END $$")
    with pytest.raises(StorageFull, match="disk is full"):
        async with database.writing() as connection:
            await connection.execute(full)
    assert await one(database) == 1


async def test_connections_are_bounded_and_who_gets_none_is_told(postgres, url, monkeypatch):
    monkeypatch.setattr(adapter, "POOL_WAIT_SECONDS", 0.1)
    database = Database(url, pool_size=1)
    async with database.reading(), database.reading():
        with pytest.raises(Unavailable, match="All connections"):
            await one(database)
    assert await one(database) == 1
    await database.close()


async def test_reading_is_one_snapshot_and_can_not_write(database):
    count = text("SELECT count(*) FROM leases")
    async with database.reading() as connection:
        assert (await connection.execute(count)).scalar_one() == 0
        async with database.writing() as other:
            await other.execute(text("INSERT INTO leases VALUES ('loop', 'a', 1, 0)"))
        assert (await connection.execute(count)).scalar_one() == 0
        with pytest.raises(Exception, match="read-only transaction"):
            await connection.execute(text("DELETE FROM leases"))
    async with database.reading() as connection:
        assert (await connection.execute(count)).scalar_one() == 1


async def test_instances_that_start_at_once_migrate_once(postgres):
    url = await postgres.create()
    databases = [Database(url) for _ in range(3)]
    await asyncio.gather(*(upgrade(database) for database in databases))
    await asyncio.gather(*(database.close() for database in databases))
    await postgres.drop(url)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_small_statements_leave_at_once(postgres, loop):
    async def connected() -> list[bool]:
        database = Database(postgres.url("postgres"))
        async with database.reading():
            found = waits_to_fill_packets(postgres.port)
        await database.close()
        return found

    with asyncio.Runner(loop_factory=loop) as runner:
        found = runner.run(connected())
    assert found
    assert not any(found)


class CountingBus:
    """Counts what is published, and takes its time, so that relays meet."""

    capabilities = BusCapabilities(durable=True, across_processes=True)
    dead: DeadDeliveries | None = None

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    async def start(self, subscriptions: Sequence[Subscription], broadcasts: Sequence[Broadcast] = ()) -> None: ...

    def on_loss(self, service: str, tell_again: Callable[[], Awaitable[None]]) -> None: ...

    async def publish(self, events: Sequence[CloudEvent]) -> None:
        self.sent.update(event.id for event in events)
        await asyncio.sleep(0)

    async def depths(self, service: str) -> Sequence[QueueDepth]:
        return ()

    async def ping(self) -> None: ...

    async def close(self) -> None: ...


async def test_relays_of_several_instances_send_each_event_once(url):
    clock, bus = ManualClock(), CountingBus()
    databases = [Database(url) for _ in range(3)]
    stores = [Store(database, "test-svc", clock) for database in databases]
    async with stores[0].work() as uow:
        for i in range(700):
            uow.emit(DatasetOffline(id=f"ds-{i}"), subject=f"ds-{i}")
    events = uow.events

    async def relay(store: Store) -> None:
        while await Relay(store, bus).once():
            pass

    await asyncio.gather(*map(relay, stores))
    assert bus.sent == Counter(event.id for event in events)
    assert await Relay(stores[0], bus).waiting() == 0
    await asyncio.gather(*(database.close() for database in databases))


async def test_a_failed_handler_is_tried_again_by_one_instance_only(url):
    clock, tried = ManualClock(), []

    async def on_offline(uow, heard) -> None:
        tried.append(heard.data.id)
        if len(tried) <= 3:
            raise RuntimeError("not yet")

    databases = [Database(url) for _ in range(3)]
    ears = [Inbox(Store(d, "test-svc", clock), "test-svc", {DatasetOffline: [on_offline]}) for d in databases]
    store = Store(databases[0], "other-svc", clock)
    async with store.work() as uow:
        for i in range(3):
            uow.emit(DatasetOffline(id=f"ds-{i}"), subject=f"ds-{i}")
    events = uow.events
    for event in events:
        await ears[0].receive("on_offline", [event])
    clock.advance(10)
    assert sum(await asyncio.gather(*(ear.retry_due() for ear in ears))) == 3
    assert sorted(tried) == sorted(2 * [event.subject for event in events])
    await asyncio.gather(*(database.close() for database in databases))


async def test_those_who_tell_of_the_same_subjects_at_once_wait_for_each_other_in_one_order(database: Database) -> None:
    store, subjects = Store(database, "test-svc", SystemClock()), [f"ds-{n}" for n in range(40)]

    async def tell(order: Sequence[str]) -> list[int]:
        async with store.work() as uow:
            for subject in order:
                uow.emit(DatasetOffline(id=subject), subject=subject)
        return [event.sequence for event in sorted(uow.events, key=lambda event: event.subject)]

    told = await asyncio.gather(*(tell(order) for order in (subjects, subjects[::-1]) * 10))
    assert sorted(told) == [[number] * 40 for number in range(1, 21)]
