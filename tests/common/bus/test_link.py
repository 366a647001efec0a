"""Work on a connection ends when it is told to, also where a library swallows the cancellation."""

import asyncio
from unittest.mock import Mock

import pytest
from aiormq import Channel

from common.bus.rabbitmq import Topology, link
from common.bus.rabbitmq.link import end, until_one_ends
from common.bus.rabbitmq.publisher import Publisher


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(link, "CANCEL_AGAIN_SECONDS", 0.01)


class Stubborn:
    """Goes on after the first cancellation, as whoever waits by a wait_for that was just answered."""

    def __init__(self, swallows: int = 1) -> None:
        self.swallows = swallows
        self.ended = False

    async def work(self) -> None:
        try:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    if not self.swallows:
                        raise
                    self.swallows -= 1
        finally:
            self.ended = True


async def ends() -> None:
    await asyncio.sleep(0)


async def test_whoever_swallows_a_cancellation_is_cancelled_again():
    stubborn = Stubborn(swallows=3)
    async with asyncio.timeout(60):
        await until_one_ends(stubborn.work(), ends())
    assert stubborn.ended


async def test_whoever_ends_others_ends_them_although_it_is_cancelled_meanwhile():
    stubborn = Stubborn(swallows=5)
    working = asyncio.create_task(until_one_ends(stubborn.work(), ends()))
    await asyncio.sleep(0.005)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert stubborn.ended


async def test_what_an_ended_task_failed_with_is_nobodys_surprise():
    async def fails() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while it ended")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await end([task])
    assert isinstance(task.exception(), ValueError)
    await end([])


def test_a_failure_on_an_earlier_channel_leaves_the_present_connection_alone():
    publisher = Publisher("amqp://localhost/", "test", Topology(), asyncio.Event())
    earlier, present = Mock(Channel), Mock(Channel)
    publisher._channel = present
    publisher._give_up(earlier)
    assert (publisher.open, publisher.link._renew.is_set()) == (True, False)
    publisher._give_up(present)
    assert (publisher.open, publisher.link._renew.is_set()) == (False, True)
