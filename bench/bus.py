"""From the outbox in PostgreSQL over a quorum queue of RabbitMQ to the effect in another database.

The limit is aio-pika alone on the same broker: the same messages published with confirms, 100 in flight, and
consumed with an acknowledgement each, by a process that does nothing else with them.
Both run on uvloop, as services do. The peer is Celery with `acks_late` on the same broker, in two shapes
(`bench/celery_peer.py`): as its manual sets it up, which promises less, and set up to promise about as much.

The effect is a row that its handler only writes, as handlers write read models: all of a batch in one crossing
(`uow.later`). A handler that waits for the database at each event is measured beside it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aio_pika
import uvloop
from sqlalchemy import text

from bench import celery_peer
from bench.house import median, percentile, row
from common.bus.rabbitmq import RabbitBus
from common.contracts.dataset import DatasetOffline
from common.db.database import Database
from common.db.inbox import Heard, Inbox
from common.db.migrate import upgrade
from common.db.outbox import Relay
from common.db.uow import Store, UnitOfWork
from common.kernel.clock import SystemClock
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ

NAME = "bus"
BURST = 3000
TOLD_AT_ONCE = 50
IN_FLIGHT = 100
RATE = 200.0
PACED = 600
LIKE_OURS = 1000
ROUNDS = 5
GOAL_RATIO = 0.5
GOAL_OF_CELERY = 2.5
GOAL_P50_MS = 10.0

EFFECT = text("INSERT INTO effects VALUES (:id)")


class Effects:
    """The hearing service: notes when the effect of each event was committed."""

    def __init__(self, *, together: bool) -> None:
        self._together = together
        self.done: dict[str, float] = {}
        self.enough = asyncio.Event()
        self.wanted = 0

    async def on_offline(self, uow: UnitOfWork, heard: Heard[DatasetOffline]) -> None:
        """One row, the effect."""
        if self._together:
            uow.later(EFFECT, {"id": heard.data.id})
        else:
            await uow.connection.execute(EFFECT, {"id": heard.data.id})
        uow.after_commit(lambda: self._note(heard.data.id))

    def _note(self, name: str) -> None:
        self.done.setdefault(name, time.perf_counter())
        if len(self.done) >= self.wanted:
            self.enough.set()

    async def until(self, count: int) -> None:
        """Wait for that many effects."""
        self.wanted = count
        self.enough.clear()
        if len(self.done) < count:
            await self.enough.wait()


@dataclass(frozen=True)
class Measured:
    """Events a second in a burst, the seconds of each at a steady rate, and the messages of the burst."""

    rate: float
    waits: list[float]
    messages: list[bytes]


async def measured(rabbitmq: RabbitMQ, postgres: Postgres, *, together: bool = True, paced: int = PACED) -> Measured:
    """From a service's outbox to another's effect; the burst is committed before the clock runs."""
    urls = [await postgres.copy_of("bench", _prepare) for _ in range(2)]
    teller, hearer = (Database(url) for url in urls)
    vhost, clock, effects = rabbitmq.create(), SystemClock(), Effects(together=together)
    store = Store(teller, "teller-svc", clock)
    ear = Inbox(Store(hearer, "hearer-svc", clock), "hearer-svc", {DatasetOffline: [effects.on_offline]})
    bus = RabbitBus(rabbitmq.url(vhost))
    await bus.start(ear.subscriptions())
    messages = await _burst(store)
    began = time.perf_counter()
    relay = asyncio.create_task(Relay(store, bus).run())
    await effects.until(BURST)
    rate = BURST / (time.perf_counter() - began)
    waits = await _paced(store, effects, paced)
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    await bus.close()
    for database, url in zip((teller, hearer), urls, strict=True):
        await database.close()
        await postgres.drop(url)
    rabbitmq.drop(vhost)
    return Measured(rate, waits, messages)


async def _burst(store: Store) -> list[bytes]:
    messages = []
    for start in range(0, BURST, TOLD_AT_ONCE):
        async with store.work() as uow:
            for n in range(start, start + TOLD_AT_ONCE):
                uow.emit(DatasetOffline(id=f"burst-{n}"), subject=f"burst-{n}")
        messages += [event.model_dump_json(exclude_none=True).encode() for event in uow.events]
    return messages


async def _prepare(url: str) -> None:
    database = Database(url)
    await upgrade(database)
    async with database.writing() as connection:
        await connection.execute(text("CREATE TABLE effects (id TEXT PRIMARY KEY)"))
    await database.close()


async def _paced(store: Store, effects: Effects, count: int) -> list[float]:
    """Seconds from each commit to its effect."""
    sent = {}
    begin = time.perf_counter()
    for n in range(count):
        await asyncio.sleep(max(0.0, begin + n / RATE - time.perf_counter()))
        async with store.work() as uow:
            uow.emit(DatasetOffline(id=f"paced-{n}"), subject=f"paced-{n}")
        sent[f"paced-{n}"] = time.perf_counter()
    await effects.until(BURST + count)
    return [effects.done[name] - at for name, at in sent.items()]


async def alone(rabbitmq: RabbitMQ, messages: list[bytes]) -> float:
    """Messages a second by aio-pika alone, end to end."""
    vhost = rabbitmq.create()
    heard, everything = 0, asyncio.Event()

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal heard
        await message.ack()
        heard += 1
        if heard == len(messages):
            everything.set()

    publishing, consuming = [await aio_pika.connect(rabbitmq.url(vhost)) for _ in range(2)]
    async with publishing, consuming:
        channel, ears = await publishing.channel(), await consuming.channel()
        exchange = await channel.declare_exchange("events", aio_pika.ExchangeType.TOPIC, durable=True)
        queue = await ears.declare_queue("heard", durable=True, arguments={"x-queue-type": "quorum"})
        await ears.set_qos(prefetch_count=2 * IN_FLIGHT)
        await queue.bind("events", "dataset.offline")
        await queue.consume(take)
        free = asyncio.Semaphore(IN_FLIGHT)

        async def publish(body: bytes) -> None:
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            async with free:
                await exchange.publish(message, "dataset.offline", timeout=30)

        began = time.perf_counter()
        await asyncio.gather(*(publish(body) for body in messages))
        await everything.wait()
        took = time.perf_counter() - began
    rabbitmq.drop(vhost)
    return len(messages) / took


def celery(rabbitmq: RabbitMQ, messages: list[bytes]) -> float:
    """Messages a second by Celery as its manual sets it up, end to end."""
    vhost = rabbitmq.create()
    try:
        return celery_peer.plain(rabbitmq.url(vhost), messages)
    finally:
        rabbitmq.drop(vhost)


def celery_like_ours(rabbitmq: RabbitMQ, postgres: Postgres, messages: list[bytes]) -> float:
    """The same by Celery with a quorum queue, confirms, and effects in PostgreSQL."""
    vhost, url = rabbitmq.create(), uvloop.run(postgres.copy_of("bench", _prepare))
    try:
        return celery_peer.like_for_like(rabbitmq.url(vhost), url.replace("+asyncpg", ""), messages)
    finally:
        rabbitmq.drop(vhost)
        uvloop.run(postgres.drop(url))


@contextmanager
def servers() -> Iterator[tuple[RabbitMQ, Postgres]]:
    """A broker, and a database server that waits for its disk."""
    rabbitmq, postgres = RabbitMQ(), Postgres(durable=True)
    try:
        rabbitmq.start()
        postgres.start()
        yield rabbitmq, postgres
    finally:
        rabbitmq.close()
        postgres.close()


@dataclass(frozen=True)
class Round:
    """Events a second, measured one after another."""

    ours: float
    one_by_one: float
    alone: float
    celery: float
    celery_like_ours: float


def run() -> list[dict]:
    """Rounds in turns: the round with the median ratio counts, and the waits of all."""
    rounds, waits = [], []
    with servers() as (rabbitmq, postgres):
        for _ in range(ROUNDS):
            ours = uvloop.run(measured(rabbitmq, postgres))
            figures = Round(
                ours=ours.rate,
                one_by_one=uvloop.run(measured(rabbitmq, postgres, together=False, paced=0)).rate,
                alone=uvloop.run(alone(rabbitmq, ours.messages)),
                celery=celery(rabbitmq, ours.messages),
                celery_like_ours=celery_like_ours(rabbitmq, postgres, ours.messages[:LIKE_OURS]),
            )
            rounds.append(figures)
            waits += ours.waits
    p50, p99 = percentile(waits, 0.5) * 1000, percentile(waits, 0.99) * 1000
    goal = f"<= {GOAL_P50_MS:.0f} ms at {RATE:.0f}/s"
    return [
        _rate_row("aio-pika alone", [(one.ours, one.alone) for one in rounds], GOAL_RATIO),
        _rate_row("Celery, acks_late, promises less", [(one.ours, one.celery) for one in rounds], GOAL_OF_CELERY),
        _rate_row(
            "Celery, quorum, confirms, PostgreSQL", [(one.ours, one.celery_like_ours) for one in rounds], GOAL_OF_CELERY
        ),
        _rate_row("aio-pika alone, handler waits at each event", [(one.one_by_one, one.alone) for one in rounds], None),
        row("bus: p50 from commit to effect", p50, "ms", GOAL_P50_MS, goal=goal, met=p50 < GOAL_P50_MS),
        row("bus: p99 from commit to effect", p99, "ms", median(waits) * 1000, goal="reported", met=True),
    ]


def _rate_row(peer: str, rounds: list[tuple[float, float]], least: float | None) -> dict:
    rate, limit = _middle(rounds)
    goal, met = ("reported", True) if least is None else (f">= {least}", rate >= least * limit)
    return row(f"bus: outbox to effect, of {peer}", rate, "events/s", limit, goal=goal, met=met)


def _middle(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    """The round with the median ratio."""
    return sorted(rounds, key=lambda pair: pair[0] / pair[1])[len(rounds) // 2]
