"""A queue that is there hears more types since an upgrade: what was told of them before is read from the log."""

from tests.common.bus.conftest import Ear, event, eventually

NEW = "dataset.offline"
SECONDS = 60


async def test_a_type_that_is_newly_heard_is_read_from_the_log_and_nothing_else(bus_at, url, ear):
    sender, before = bus_at(url), bus_at(url)
    await before.start([ear.subscription])
    await sender.start([])
    known, unknown = [event() for _ in range(20)], [event(NEW) for _ in range(20)]
    await sender.publish([*known, *unknown])
    assert await ear.until(20) == [e.id for e in known]
    await before.close()

    wiser = Ear("online", *ear.subscription.types, NEW)
    await bus_at(url).start([wiser.subscription])
    assert [e.id for e in wiser.heard] == [e.id for e in unknown], "all of it, when start returns"
    await sender.publish([now := event(NEW)])
    assert (await wiser.until(21))[-1] == now.id


async def test_a_service_that_hears_what_it_heard_before_reads_nothing_twice(bus_at, url, ear):
    both = Ear("online", *ear.subscription.types, NEW)
    first = bus_at(url)
    await first.start([both.subscription])
    await first.publish([event(), event(NEW)])
    await both.until(2)
    await first.close()
    again = Ear("online", *ear.subscription.types, NEW)
    second = bus_at(url)
    await second.start([again.subscription])
    await second.publish([last := event(NEW)])
    assert await again.until(1) == [last.id]


async def test_what_an_instance_of_the_old_version_dropped_is_read_by_the_last_one_that_is_replaced(bus_at, url, ear):
    """While an upgrade rolls, both versions consume the same queue, and the old one takes what it does not know."""
    sender, old = bus_at(url), bus_at(url)
    await sender.start([])
    wiser = Ear("online", *ear.subscription.types, NEW)
    first = bus_at(url)
    await first.start([wiser.subscription])
    await old.start([ear.subscription])
    sent = [event(NEW, sequence=n) for n in range(10)]
    for one in sent:
        await sender.publish([one])
    await old.close()
    last = bus_at(url)
    await last.start([wiser.subscription])
    await eventually(lambda: {e.id for e in wiser.heard} == {e.id for e in sent}, SECONDS)
