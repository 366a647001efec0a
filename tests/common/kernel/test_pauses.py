"""What could not go on is left alone for longer each time, and tried at once when it went on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.kernel.clock import ManualClock
from common.kernel.pauses import Pauses


@given(st.floats(0.125, 4.0), st.floats(4.0, 100.0), st.integers(1, 2000))
def test_a_pause_is_twice_the_last_one_and_never_over_the_longest(first: float, longest: float, times: int) -> None:
    clock = ManualClock()
    pauses = Pauses(clock, first, longest)
    for before in range(times):
        assert pauses.over("one")
        pauses.begin("one")
        wanted = min(first * 2 ** min(before, 10), longest)
        clock.advance(wanted - 0.01)
        assert not pauses.over("one")
        clock.advance(0.02)


def test_who_goes_on_or_is_forgotten_begins_with_the_shortest() -> None:
    clock = ManualClock()
    pauses = Pauses(clock, 1.0, 8.0)
    for one in ("ended", "forgotten", "kept"):
        pauses.begin(one)
        pauses.begin(one)
    pauses.end("ended")
    pauses.keep(["kept"])
    assert [pauses.over(one) for one in ("ended", "forgotten", "kept")] == [True, True, False]
    for one in ("ended", "forgotten", "kept"):
        pauses.begin(one)
    clock.advance(1.0)
    assert [pauses.over(one) for one in ("ended", "forgotten", "kept")] == [True, True, False]
