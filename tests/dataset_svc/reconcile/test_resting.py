"""When something is tried again, and when it has failed for good."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kernel.clock import ManualClock
from common.kernel.errors import Problem, Unavailable
from dataset_svc.domain.sources import SourceAway
from dataset_svc.reconcile.resting import LONGEST, SHORTEST, TRIES, Resting

OURS = Unavailable("files_unavailable", "The file store does not answer.")
AWAY = SourceAway("unknown_host", "nowhere can't be looked up.")
FAULT = Problem("internal", "The platform failed unexpectedly.")
PATIENCE = 900.0


@pytest.mark.row("D2")
def test_it_rests_longer_each_time_and_for_a_minute_at_most_however_long_that_lasts() -> None:
    clock = ManualClock()
    resting = Resting(PATIENCE, clock)
    for tries in range(3000):
        assert not resting.failed("one", OURS), "what is the platform's own is waited for as long as it takes"
        rest = min(SHORTEST * 2 ** min(tries, 10), LONGEST)
        clock.advance(rest - 0.01)
        assert resting.among(["one"]) == {"one"}
        clock.advance(0.02)
        assert not resting.among(["one"])


@pytest.mark.row("D11")
@given(st.lists(st.tuples(st.floats(0.0, 500.0), st.sampled_from([AWAY, OURS, FAULT, None])), min_size=1, max_size=30))
def test_only_the_same_on_end_counts(steps: list[tuple[float, Problem | None]]) -> None:
    """None: it came further than ever."""
    clock = ManualClock()
    resting = Resting(PATIENCE, clock)
    last, tries, since = None, 0, clock.monotonic()
    for pause, problem in steps:
        if problem is None:
            resting.went_on("one")
            last = None
            continue
        if problem is not last:
            last, tries, since = problem, 0, clock.monotonic()
        tries += 1
        wanted = {AWAY: clock.monotonic() - since >= PATIENCE, OURS: False, FAULT: tries >= TRIES}[problem]
        assert resting.failed("one", problem) == wanted
        clock.advance(pause)


@pytest.mark.row("D2")
def test_of_what_has_ended_nothing_is_kept() -> None:
    resting = Resting(PATIENCE, ManualClock())
    ids = ("one", "two", "three")
    for one in ids:
        resting.failed(one, OURS)
    resting.keep(["two", "three"])
    resting.went_on("three")
    assert resting.among(ids) == {"two"}
    resting.keep()
    assert not resting.among(ids)
