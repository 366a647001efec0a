"""What every bus must do. Adapters are listed in `ADAPTERS`; the tests don't know which one they run on."""

import asyncio
from datetime import UTC, datetime

import pytest

from common.bus.memory import MemoryBus
from common.bus.rabbitmq import RabbitBus
from common.kernel.events import CloudEvent
from common.kernel.ids import new_id
from common.ports.bus import Broadcast, Bus, BusUnavailable, Subscription


def rabbitmq(request) -> Bus:
    broker, vhost = request.getfixturevalue("rabbitmq"), request.getfixturevalue("vhost")
    return RabbitBus(broker.url(vhost))


ADAPTERS = {"memory": lambda request: MemoryBus(), "rabbitmq": rabbitmq}


@pytest.fixture(params=ADAPTERS)
async def bus(request):
    made: Bus = ADAPTERS[request.param](request)
    yield made
    await made.close()


def event(event_type: str = "dataset.online", subject: str = "ds-1", sequence: int = 1) -> CloudEvent:
    return CloudEvent(
        id=new_id("ev"),
        source="dataset-svc",
        type=event_type,
        subject=subject,
        time=datetime.now(UTC),
        sequence=sequence,
        data={},
    )


class Ear:
    def __init__(self, handler: str, *types: str) -> None:
        self.heard: list[CloudEvent] = []
        self.refuse = False
        self.news = asyncio.Event()
        self.subscription = Subscription("test-svc", handler, frozenset(types), self.receive)

    async def receive(self, events) -> None:
        if self.refuse:
            raise RuntimeError("the inbox is not available")
        self.heard += events
        self.news.set()

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(60):
            while len(self.heard) < count:
                self.news.clear()
                await self.news.wait()
        return [e.id for e in self.heard]


async def test_each_handler_hears_its_types_in_order(bus):
    online, both = Ear("online", "dataset.online"), Ear("both", "dataset.online", "dataset.offline")
    await bus.start([online.subscription, both.subscription])
    sent = [event(sequence=1), event("dataset.offline", sequence=2), event(sequence=3)]
    await bus.publish(sent)
    assert await both.until(3) == [e.id for e in sent]
    assert await online.until(2) == [sent[0].id, sent[2].id]


async def test_nobody_listening_is_no_failure(bus):
    await bus.start([])
    await bus.publish([event("job.started")])


async def test_the_content_arrives_as_it_was_sent(bus):
    ear = Ear("online", "dataset.online")
    await bus.start([ear.subscription])
    sent = event().model_copy(update={"data": {"name": "数据集", "n": 1.5}, "traceparent": "00-1-1-01"})
    await bus.publish([sent])
    await ear.until(1)
    assert ear.heard == [sent]


async def test_a_confirm_means_durable(bus):
    """Where the bus itself keeps nothing, a subscriber that can't take the event must fail the publish."""
    ear = Ear("online", "dataset.online")
    ear.refuse = True
    await bus.start([ear.subscription])
    sent = event()
    if bus.capabilities.durable:
        await bus.publish([sent])
    else:
        with pytest.raises(BusUnavailable):
            await bus.publish([sent])
    ear.refuse = False
    if not bus.capabilities.durable:
        await bus.publish([sent])
    assert sent.id in await ear.until(1)


async def test_what_was_heard_lies_in_no_queue(bus):
    ear = Ear("online", "dataset.online")
    await bus.start([ear.subscription])
    await bus.publish([event()])
    await ear.until(1)
    assert sum(depth.waiting + depth.dead for depth in await bus.depths("test-svc")) == 0
    assert not await bus.depths("nobody")


async def test_before_start_and_after_close_it_says_so(bus):
    with pytest.raises(BusUnavailable):
        await bus.publish([event()])
    with pytest.raises(BusUnavailable):
        await bus.ping()
    await bus.start([])
    await bus.ping()
    await bus.close()
    with pytest.raises(BusUnavailable):
        await bus.publish([event()])
    with pytest.raises(BusUnavailable):
        await bus.ping()


class Screen:
    """Hears a broadcast, for an instance of its own."""

    def __init__(self, *types: str) -> None:
        self.heard: list[str] = []
        self.began = 0
        self.broadcast = Broadcast("test-svc", "screen", frozenset(types), self._tell, self._begin)

    def _tell(self, events) -> None:
        self.heard += [e.id for e in events]

    def _begin(self) -> None:
        self.began += 1

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(60):
            while len(self.heard) < count:
                await asyncio.sleep(0.005)
        return self.heard


async def test_every_instance_hears_every_event_of_a_broadcast(bus):
    one, other, ear = Screen("dataset.online", "job.started"), Screen("job.started"), Ear("online", "dataset.online")
    await bus.start([ear.subscription], [one.broadcast, other.broadcast])
    assert (one.began, other.began) == (1, 1)
    sent = [event(), event("job.started"), event("job.failed")]
    await bus.publish(sent)
    assert await one.until(2) == [sent[0].id, sent[1].id]
    assert await other.until(1) == [sent[1].id]
    assert await ear.until(1) == [sent[0].id]


async def test_a_broadcast_tells_nothing_of_what_came_before(bus, request):
    if bus.capabilities.across_processes:
        before = ADAPTERS["rabbitmq"](request)
        await before.start([])
        await before.publish([event()])
        await before.close()
    screen = Screen("dataset.online")
    await bus.start([], [screen.broadcast])
    await bus.publish([sent := event()])
    assert await screen.until(1) == [sent.id]
