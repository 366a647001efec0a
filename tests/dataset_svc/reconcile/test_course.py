"""How far an import is: never back, each pass for itself, all of them together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_svc.importing import Progress
from dataset_svc.reconcile.course import Course


@pytest.mark.row("D2")
@given(
    st.integers(1, 3).flatmap(
        lambda passes: st.tuples(
            st.just(passes), st.lists(st.tuples(st.integers(0, passes - 1), st.integers(0, 100)), min_size=1)
        )
    )
)
def test_it_never_goes_back_however_often_it_is_begun_again(told: tuple[int, list[tuple[int, int]]]) -> None:
    passes, steps = told
    course = Course(passes)
    seen = [(number, course.at(number, Progress("x", read, 100, read, 100, 1.0))) for number, read in steps]
    overall = [one.overall for _, one in seen]
    assert overall == sorted(overall)
    assert overall[-1] <= 1.0
    for number in range(passes):
        read = [(one.bytes, one.files) for at, one in seen if at == number]
        assert read == sorted(read)


@pytest.mark.row("D2")
def test_each_pass_is_as_long_as_the_others() -> None:
    course = Course(2)
    told = [course.at(number, Progress("x", read, 100, 0, 0, 1.0)).overall for number in (0, 1) for read in (50, 100)]
    assert told == [0.25, 0.5, 0.75, 1.0]


@pytest.mark.row("D2")
def test_no_more_is_done_than_there_is_where_a_source_has_become_smaller() -> None:
    course = Course(1)
    course.at(0, Progress("fetching", 80, 100, 8, 10, 1.0))
    again = course.at(0, Progress("fetching", 10, 50, 1, 5, 1.0))
    assert (again.bytes, again.files, again.overall) == (50, 5, 1.0)


@pytest.mark.row("D2")
def test_what_an_earlier_or_a_later_instance_has_noted_is_read() -> None:
    row = {"phase": "checking", "bytes": 1, "total_bytes": 2, "files": 3, "total_files": 4, "rate": 5.0}
    assert Progress.noted(row) == Progress("checking", 1, 2, 3, 4, 5.0)
    assert Progress.noted({**row, "reason": "It is away.", "later": 1}).reason == "It is away."
