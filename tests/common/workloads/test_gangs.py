"""How a gang stands follows from how its members do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ports.runtime import Observation, WorkloadState
from common.workloads import gangs

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.row("T19")


def ended(code: int, second: int = 0, cause: str = "exit") -> Observation:
    at = NOON + timedelta(seconds=second)
    return Observation(WorkloadState.EXITED, NOON, at, code, cause)  # type: ignore[arg-type]


MEMBERS = st.one_of(
    st.builds(ended, st.integers(0, 3), st.integers(0, 5), st.sampled_from(["exit", "stopped"])),
    st.sampled_from(list(WorkloadState)).filter(lambda s: s != WorkloadState.EXITED).map(Observation),
)


@given(st.lists(MEMBERS, min_size=2, max_size=6))
def test_it_is_over_when_all_are_and_well_when_all_are(members: list[Observation]) -> None:
    whole = gangs.together(members)
    states = {one.state for one in members}
    if WorkloadState.UNKNOWN in states:
        assert whole.state == WorkloadState.UNKNOWN, "who can't be seen is not lost"
    else:
        assert (whole.state in gangs.OVER) == states.issubset(gangs.OVER)
    well = all(one.state == WorkloadState.EXITED and one.exit_code == 0 for one in members)
    assert (whole.state == WorkloadState.EXITED and whole.exit_code == 0) == well


def test_the_reason_is_that_of_the_first_that_failed_by_itself() -> None:
    members = [ended(143, 1, "stopped"), ended(7, 3), ended(9, 2), ended(0, 0)]
    whole = gangs.together(members)
    assert (whole.exit_code, whole.cause) == (9, "exit")
    assert whole.detail == "Member 2 of 4: it ended with exit code 9."


@given(st.from_regex(r"att-[0-9a-hjkmnp-tv-z]{26}", fullmatch=True), st.integers(0, 5000))
def test_a_member_tells_whose_it_is(workload: str, rank: int) -> None:
    assert gangs.workload_of(gangs.member_id(workload, rank)) == workload
