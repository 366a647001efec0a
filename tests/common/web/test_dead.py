"""Dead letters of the inbox and of the broker as one list, in pages, each with what to do about it."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from common.contracts.dataset import DatasetOffline
from common.db import inbox as inbox_module
from common.db.database import Database
from common.db.inbox import Inbox
from common.db.migrate import upgrade
from common.db.uow import Store
from common.kernel.clock import ManualClock
from common.kernel.errors import BadRequest
from common.ports.bus import BusUnavailable
from common.ports.dead import DeadDelivery
from common.web.app import create_app
from common.web.dead import DeadLetters, dead_letter_routes
from common.web.identity import KeyRing, Principal, open_signer

QUEUE = "test-svc.on_offline"
THEN = datetime(2026, 11, 21, 8, tzinfo=UTC)


class Broker:
    """Keeps dead deliveries in memory."""

    def __init__(self, *letters: DeadDelivery) -> None:
        self.letters = list(letters)
        self.given_back: list[str] = []
        self.away = False

    async def list(self, queue: str) -> list[DeadDelivery]:
        if self.away:
            raise BusUnavailable("bus_unavailable", "The broker is not available.")
        return [one for one in self.letters if one.queue == queue]

    async def replay(self, queue: str, ids: Collection[str] | None = None):
        found = [one for one in await self.list(queue) if ids is None or one.id in ids]
        self.letters = [one for one in self.letters if one not in found]
        self.given_back += [one.id for one in found]
        return [one.id for one in found]


@pytest.fixture
async def store(tmp_path):
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.sqlite3'}")
    await upgrade(database)
    yield Store(database, "test-svc", ManualClock())
    await database.close()


@pytest.fixture
def ear(store, monkeypatch) -> Inbox:
    """Its one handler fails, and one try is enough to be dead."""
    monkeypatch.setattr(inbox_module, "MAX_ATTEMPTS", 1)

    async def on_offline(uow, heard) -> None:
        raise ValueError("it has no room")

    return Inbox(store, "test-svc", {DatasetOffline: [on_offline]})


async def died(store, ear, count: int) -> list[str]:
    """Ids of as many events that the handler failed on."""
    ids = []
    for n in range(count):
        async with store.work() as uow:
            uow.emit(DatasetOffline(id=f"ds-{n}"), subject=f"ds-{n}")
        [event] = uow.events
        await ear.receive("on_offline", [event])
        store.clock.advance(60)
        ids.append(f"{QUEUE}.{event.id}")
    return ids


def in_broker(name: str, minutes: int, reason: str = "rejected", body: bytes = b"{") -> DeadDelivery:
    return DeadDelivery(QUEUE, name, reason, body, THEN + timedelta(minutes=minutes))


async def test_a_letter_says_what_it_is_and_what_to_do(store, ear):
    (only,) = await died(store, ear, 1)
    (letter,) = (await DeadLetters("test-svc", ear, None).page(50)).items
    assert (letter.id, letter.kept, letter.handler, letter.type) == (only, "inbox", "on_offline", "dataset.offline")
    assert (letter.subject, letter.attempts) == ("ds-0", 1)
    assert "no room" in letter.error
    assert letter.since is not None
    assert "on_offline" in letter.advice
    assert "replay" in letter.advice


async def test_what_the_broker_has_is_told_with_its_reason(store, ear):
    async with store.work() as uow:
        uow.emit(DatasetOffline(id="ds-1"), subject="ds-1")
    [event] = uow.events
    body = event.model_dump_json(exclude_none=True).encode()
    broker = Broker(in_broker("odd", 0), in_broker(event.id, 1, "delivery_limit", body))
    odd, limit = (await DeadLetters("test-svc", ear, broker).page(50)).items
    assert (odd.id, odd.kept, odd.event_id) == (f"{QUEUE}.dead.odd", "broker", None)
    assert "no event" in odd.error
    assert "does not help" in odd.advice
    assert (limit.id, limit.event_id, limit.subject) == (f"{QUEUE}.dead.{event.id}", event.id, "ds-1")
    assert (limit.error, limit.since) == ("delivery_limit", THEN + timedelta(minutes=1))
    assert "died of it" in limit.advice


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 50])
async def test_pages_have_every_letter_once_inbox_first_and_oldest_first(store, ear, limit):
    ids = await died(store, ear, 3)
    broker = Broker(*(in_broker(str(n), 9 - n) for n in range(3)))
    letters, seen, cursor = DeadLetters("test-svc", ear, broker), [], None
    for _ in range(10):
        page = await letters.page(limit, cursor)
        assert len(page.items) <= limit
        seen += [one.id for one in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [*ids, *(f"{QUEUE}.dead.{n}" for n in (2, 1, 0))]


async def test_a_cursor_of_somebody_elses_making_is_refused(store, ear):
    with pytest.raises(BadRequest):
        await DeadLetters("test-svc", ear, None).page(50, "%%%")


async def test_a_broker_that_is_away_hides_only_its_own(store, ear):
    ids = await died(store, ear, 1)
    broker = Broker(in_broker("1", 1))
    broker.away = True
    letters = DeadLetters("test-svc", ear, broker)
    page = await letters.page(50)
    assert [one.id for one in page.items] == ids
    assert page.unavailable == "The broker is not available."
    told = await letters.replay([f"{QUEUE}.dead.1", *ids])
    assert told.replayed == ids
    assert [(one.id, one.code) for one in told.failed] == [(f"{QUEUE}.dead.1", "bus_unavailable")]
    assert [one.id for one in (await letters.replay_all()).failed] == [QUEUE]


async def test_some_are_replayed_and_the_others_named(store, ear):
    first, second = await died(store, ear, 2)
    broker = Broker(in_broker("1", 1), in_broker("2", 2))
    absent = [
        "other-svc.on_offline.ev-1",
        "test-svc.on_offline",
        f"{QUEUE}.ev-0",
        f"{QUEUE}.dead.9",
        "test-svc.x.dead.1",
    ]
    told = await DeadLetters("test-svc", ear, broker).replay([second, f"{QUEUE}.dead.2", second, *absent])
    assert told.replayed == [second, f"{QUEUE}.dead.2"]
    assert [one.id for one in told.failed] == absent
    assert {one.code for one in told.failed} == {"dead_letter_not_found"}
    assert broker.given_back == ["2"]
    assert [letter.event.id for letter in await ear.dead()] == [first.rpartition(".")[2]]
    assert await ear.retry_due() == 1, "it is tried again at once"


async def test_all_are_replayed(store, ear):
    ids = await died(store, ear, 3)
    broker = Broker(in_broker("1", 1), in_broker("2", 2))
    told = await DeadLetters("test-svc", ear, broker).replay_all()
    assert (sorted(told.replayed), told.failed) == (sorted([*ids, f"{QUEUE}.dead.1", f"{QUEUE}.dead.2"]), [])
    assert await ear.dead() == []


async def test_the_routes_are_for_administrators_and_want_ids_or_all(store, ear, tmp_path):
    (only,) = await died(store, ear, 1)
    signer = open_signer("gateway", tmp_path / "private", tmp_path / "public")
    routes = dead_letter_routes(DeadLetters("test-svc", ear, None))
    app = create_app("test-svc", "Test", KeyRing(tmp_path / "public"), routes)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://t/api/v1") as client:
        client.headers["Authorization"] = f"Bearer {signer.sign(Principal('user-1', 'user', 'alice'))}"
        assert (await client.get("/dead-letters")).json()["code"] == "admin_only"
        assert (await client.post("/dead-letters/replay", json={"all": True})).json()["code"] == "admin_only"
        client.headers["Authorization"] = f"Bearer {signer.sign(Principal('root', 'admin', 'root'))}"
        assert [one["id"] for one in (await client.get("/dead-letters")).json()["items"]] == [only]
        wrongs: list[dict[str, Any]] = [{}, {"ids": []}, {"ids": [only], "all": True}, {"every": True}]
        for wrong in wrongs:
            assert (await client.post("/dead-letters/replay", json=wrong)).status_code == 422
        told = await client.post("/dead-letters/replay", json={"ids": [only]})
        assert told.json() == {"replayed": [only], "failed": []}
        assert (await client.get("/dead-letters")).json()["items"] == []


def test_a_message_without_an_id_is_found_again_by_its_content():
    one, other = DeadDelivery(QUEUE, "", "rejected", b"a"), DeadDelivery(QUEUE, "", "rejected", b"b")
    assert one.id == DeadDelivery(QUEUE, "", "expired", b"a").id != other.id
