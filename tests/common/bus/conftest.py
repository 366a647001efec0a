"""A broker of one's own for each test: a virtual host, buses on it, and ears that hear."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from common.bus.rabbitmq import RabbitBus, Topology
from common.kernel.events import CloudEvent
from common.kernel.ids import new_id
from common.ports.bus import BusUnavailable, Subscription
from tests.servers.rabbitmq import RabbitMQ

ONLINE = "dataset.online"


def event(event_type: str = ONLINE, sequence: int = 1) -> CloudEvent:
    return CloudEvent(
        id=new_id("ev"),
        source="dataset-svc",
        type=event_type,
        subject="ds-1",
        time=datetime.now(UTC),
        sequence=sequence,
        data={},
    )


class Ear:
    """Hears, unless it is told what to raise."""

    def __init__(self, handler: str = "online", *types: str) -> None:
        self.heard: list[CloudEvent] = []
        self.raises: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.news = asyncio.Event()
        self.subscription = Subscription("test-svc", handler, frozenset(types or (ONLINE,)), self.receive)

    async def receive(self, events) -> None:
        await self.open.wait()
        if self.raises is not None:
            raise self.raises
        self.heard += events
        self.news.set()

    async def until(self, count: int, seconds: float = 120.0) -> list[str]:
        async with asyncio.timeout(seconds):
            while len({e.id for e in self.heard}) < count:
                self.news.clear()
                await self.news.wait()
        return [e.id for e in self.heard]


@pytest.fixture
async def bus_at(vhost: str) -> AsyncIterator[Callable[..., RabbitBus]]:
    """Makes buses, none of which outlives the virtual host: they would connect anew while it is being removed."""
    made: list[RabbitBus] = []

    def make(url: str, topology: Topology | None = None) -> RabbitBus:
        made.append(RabbitBus(url, topology=topology))
        return made[-1]

    yield make
    for bus in made:
        await bus.close()


@pytest.fixture
def url(rabbitmq: RabbitMQ, vhost: str) -> str:
    return rabbitmq.url(vhost)


@pytest.fixture
def bus(bus_at, url) -> RabbitBus:
    made: RabbitBus = bus_at(url)
    return made


@pytest.fixture
def ear() -> Ear:
    return Ear()


async def eventually(ask: Callable[[], object], seconds: float = 120.0) -> None:
    """Return once `ask`, run in a thread, gives something true."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(ask):
            await asyncio.sleep(0.02)


async def published(bus, *events) -> None:
    """Publish as the relay does, until it is confirmed."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await bus.publish(events)
            except BusUnavailable:
                await asyncio.sleep(0.1)
