"""`docs/guides/subscribe.md` is true: its operator's lines make a reader, its program hears what our relay tells, and
that reader can do nothing else."""

import ast
import asyncio
import json
import os
import re
import sys
import urllib.request
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity

from common.bus.rabbitmq import EXCHANGE
from common.bus.rabbitmq.topology import LOG
from common.contracts.job import JobQueued
from common.db.database import Database
from common.db.janitor import KEPT
from common.db.migrate import upgrade
from common.db.outbox import Relay
from common.db.uow import Store
from common.kernel.clock import SystemClock
from common.kernel.events import CloudEvent
from tests.common.bus.conftest import Ear, event
from tests.servers.proxy import Proxy
from tests.servers.rabbitmq import RabbitMQ

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "subscribe.md").read_text("utf-8")
NAME = "billing"
OURS = f"reader.{NAME}.jobs"
THEIRS = "test-svc.online"

pytestmark = pytest.mark.row("P2")


def block(language: str) -> str:
    """The one block of that language in the guide."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def password(rabbitmq: RabbitMQ) -> str:
    rabbitmq.write("password", "of-billing\n")
    return "of-billing"


@pytest.fixture(scope="module")
def vhost(rabbitmq: RabbitMQ) -> Iterator[str]:
    """One for all tests here: making a reader takes some seconds."""
    name = rabbitmq.create()
    yield name
    rabbitmq.drop(name)


@pytest.fixture(scope="module")
def made_reader(rabbitmq: RabbitMQ, vhost: str, password: str) -> Iterator[str]:
    """The address of a reader that was made by the guide's own lines."""
    rabbitmq.shell(block("sh"), NAME=NAME, VHOST=vhost)
    yield rabbitmq.url(vhost).replace("yard:yard@", f"{NAME}:{password}@")
    rabbitmq.manage("DELETE", f"users/{NAME}")


@pytest.fixture
async def reader(made_reader: str) -> AsyncIterator[str]:
    """The reader, who has no queue yet, and has none afterwards."""
    yield made_reader
    async with await aio_pika.connect(made_reader) as connection:
        await (await connection.channel()).queue_delete(OURS)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'a.sqlite3'}")
    await upgrade(database)
    yield Store(database, "train-svc", SystemClock())
    await database.close()


@asynccontextmanager
async def subscriber(folder: Path, reader: str) -> AsyncIterator[asyncio.StreamReader]:
    """The guide's program, running; what it prints."""
    (folder / "subscriber.py").write_text(block("python"))
    environment = {**os.environ, "BROKER": reader}
    program = await asyncio.create_subprocess_exec(
        sys.executable, folder / "subscriber.py", stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert program.stdout is not None
    try:
        yield program.stdout
    finally:
        program.kill()
        await program.communicate()


async def listening(reader: str) -> None:
    """Return once the program reads its queue."""
    async with asyncio.timeout(60), await aio_pika.connect(reader) as connection:
        while True:
            with suppress(ChannelNotFoundEntity):
                async with connection.channel() as channel:
                    queue = await channel.declare_queue(OURS, passive=True)
                if queue.declaration_result.consumer_count:
                    return
            await asyncio.sleep(0.05)


def through(proxy: Proxy, rabbitmq: RabbitMQ, reader: str) -> str:
    return reader.replace(str(rabbitmq.port), str(proxy.port))


async def tell(store: Store, relay: Relay, name: str) -> CloudEvent:
    async with store.work() as uow:
        uow.emit(JobQueued(id=name, name=name, owner="user-1"), subject=name, owner="user-1")
    assert await relay.once() == 1
    return uow.events[0]


async def heard(output: asyncio.StreamReader) -> Any:
    async with asyncio.timeout(60):
        line = (await output.readline()).decode()
    return ast.literal_eval(line)


def test_the_program_has_ten_lines() -> None:
    assert len([line for line in block("python").splitlines() if line]) == 10


async def test_the_program_hears_what_the_relay_tells_also_after_a_lost_connection(
    rabbitmq, reader, bus, store, tmp_path
):
    await bus.start([])
    relay = Relay(store, bus)
    async with Proxy(rabbitmq.port) as proxy, subscriber(tmp_path, through(proxy, rabbitmq, reader)) as output:
        await listening(reader)
        first = await tell(store, relay, "job-1")
        told = await heard(output)
        assert told["id"] == first.id
        assert CloudEvent.model_validate(told).payload() == JobQueued(id="job-1", name="job-1", owner="user-1")
        proxy.cut()
        second = await tell(store, relay, "job-2")
        while (again := await heard(output))["id"] == first.id:  # cut off before its acknowledgement arrived
            continue
        assert again["id"] == second.id


async def test_a_reader_that_was_away_finds_what_was_told_meanwhile(reader, bus, store, tmp_path):
    await bus.start([])
    relay = Relay(store, bus)
    async with subscriber(tmp_path, reader):
        await listening(reader)
    missed = [(await tell(store, relay, f"job-{n}")).id for n in range(3)]
    async with subscriber(tmp_path, reader) as output:
        assert sorted([(await heard(output))["id"] for _ in missed]) == sorted(missed)


def test_a_forgotten_queue_is_bounded_and_holds_up_nobody(rabbitmq, vhost, made_reader):
    policy = rabbitmq.manage("GET", f"policies/{vhost}/readers")
    assert re.match(policy["pattern"], OURS)
    assert not re.match(policy["pattern"], THEIRS)
    limits = policy["definition"]
    assert (limits["overflow"], limits["max-length"]) == ("drop-head", 1_000_000)
    assert limits["expires"] == KEPT.total_seconds() * 1000


Deed = Callable[[AbstractChannel], Awaitable[Any]]


async def publish(channel: AbstractChannel, exchange: str, key: str) -> None:
    body = aio_pika.Message(event().model_dump_json().encode(), message_id="forged")
    await (await channel.get_exchange(exchange, ensure=False)).publish(body, key, timeout=5)


async def to_default(channel: AbstractChannel) -> None:
    await channel.default_exchange.publish(aio_pika.Message(b"{}", message_id="forged"), THEIRS, timeout=5)


async def queue_of_theirs(channel: AbstractChannel) -> Any:
    return await channel.get_queue(THEIRS, ensure=False)


async def made(channel: AbstractChannel, name: str, **arguments: str) -> Any:
    return await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum", **arguments})


async def consume(channel: AbstractChannel) -> None:
    async def hear(_: object) -> None: ...

    await (await queue_of_theirs(channel)).consume(hear, timeout=5)


async def get(channel: AbstractChannel) -> None:
    await (await queue_of_theirs(channel)).get(timeout=5, fail=False)


async def purge(channel: AbstractChannel) -> None:
    await (await queue_of_theirs(channel)).purge(timeout=5)


async def delete(channel: AbstractChannel) -> None:
    await channel.queue_delete(THEIRS, timeout=5)


async def unbind(channel: AbstractChannel) -> None:
    await (await queue_of_theirs(channel)).unbind(EXCHANGE, "dataset.online", timeout=5)


async def feed_the_exchange(channel: AbstractChannel) -> None:
    events = await channel.get_exchange(EXCHANGE, ensure=False)
    own = await channel.declare_exchange(f"reader.{NAME}.own", "topic", durable=True)
    await events.bind(own, "#", timeout=5)


async def log_of_all(channel: AbstractChannel) -> None:
    async def hear(_: object) -> None: ...

    await channel.set_qos(prefetch_count=1)
    await (await channel.get_queue(LOG, ensure=False)).consume(hear, timeout=5)


FORBIDDEN: dict[str, Deed] = {
    "publish to the exchange": lambda channel: publish(channel, EXCHANGE, "dataset.online"),
    "publish to the dead": lambda channel: publish(channel, "modelyard.dead", THEIRS),
    "publish to a queue": to_default,
    "read a service's queue": consume,
    "take from a service's queue": get,
    "empty a service's queue": purge,
    "delete a service's queue": delete,
    "unbind a service's queue": unbind,
    "look at dead letters": lambda channel: made(channel, f"{THEIRS}.dead"),
    "make a queue elsewhere": lambda channel: made(channel, "other.queue"),
    "make a queue of another reader": lambda channel: made(channel, f"reader.{NAME}x.queue"),
    "publish by dead letters": lambda channel: made(
        channel, f"reader.{NAME}.x", **{"x-dead-letter-exchange": EXCHANGE}
    ),
    "publish by an exchange of its own": feed_the_exchange,
    "read the log": log_of_all,
    "delete the exchange": lambda channel: channel.exchange_delete(EXCHANGE, timeout=5),
    "make another exchange": lambda channel: channel.declare_exchange("modelyard.other", "topic"),
}


async def test_a_reader_may_do_nothing_else(rabbitmq, vhost, reader, bus):
    ear = Ear()
    await bus.start([ear.subscription])
    let_through = []
    async with await aio_pika.connect(reader) as connection:
        for deed, do in FORBIDDEN.items():
            channel = await connection.channel(on_return_raises=True)
            try:
                await do(channel)
                let_through.append(deed)
            except ChannelAccessRefused:
                continue
    assert let_through == []
    await bus.publish([sent := event()])
    assert await ear.until(1) == [sent.id], "the service hears its events and nothing forged"


def test_a_reader_cannot_ask_the_management_plugin(rabbitmq, reader, password):
    asked = urllib.request.Request(f"http://127.0.0.1:{rabbitmq.management}/api/queues")
    asked.add_header("Authorization", "Basic " + b64encode(f"{NAME}:{password}".encode()).decode())
    with pytest.raises(HTTPError, match="401") as refused:
        urllib.request.urlopen(asked, timeout=10)
    refused.value.close()


def test_the_guide_is_linked_from_the_readme() -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    assert "docs/guides/subscribe.md" in readme
    assert json.dumps(EXCHANGE) in GUIDE
