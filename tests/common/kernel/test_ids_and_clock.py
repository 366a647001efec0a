import asyncio

from common.kernel.clock import ManualClock
from common.kernel.ids import is_id, new_id


def test_ids_are_valid_names_and_sort_by_time():
    first = new_id("job")
    assert is_id(first)
    assert is_id(first, "job")
    assert not is_id(first, "ds")
    assert first == first.lower()
    assert len(first) <= 63
    assert not is_id("job-../../etc")


async def test_a_manual_clock_wakes_sleepers_in_their_hour():
    clock = ManualClock()
    woken: list[int] = []

    async def sleeper(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleeper(s)) for s in (5, 1)]
    await asyncio.sleep(0)
    clock.advance(2)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert woken == [1]
    clock.advance(3)
    await asyncio.gather(*tasks)
    assert woken == [1, 5]
    assert clock.monotonic() == 5
