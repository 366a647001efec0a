"""Where a job can go, and which state follows from which reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import train_svc
from common.contracts.job import EndReason
from common.kernel.errors import Conflict
from train_svc.domain import allocation, job, model
from train_svc.domain.job import ENDED, TRANSITIONS, JobState, ending_verb, final_state

README = Path(train_svc.__file__).parents[2] / "README.md"


@pytest.mark.row("T5")
def test_every_reason_has_one_final_state() -> None:
    states = {reason: final_state(reason) for reason in EndReason}
    assert states.pop(EndReason.COMPLETED) == JobState.SUCCEEDED
    assert states.pop(EndReason.STOPPED_BY_USER) == JobState.STOPPED
    assert states.pop(EndReason.TIME_LIMIT) == JobState.TIMED_OUT
    assert set(states.values()) == {JobState.FAILED}


@given(st.sampled_from(EndReason), st.sampled_from([JobState.PREPARING, JobState.RUNNING, JobState.STOPPING]))
def test_whatever_has_capacity_can_end_for_any_reason(reason: EndReason, state: JobState) -> None:
    assert TRANSITIONS.move(state, ending_verb(reason)) == final_state(reason)


@given(st.sampled_from(JobState))
def test_what_ended_can_only_start_again(state: JobState) -> None:
    verbs = TRANSITIONS.verbs(state)
    assert (verbs == ("start",)) == (state in (*ENDED, JobState.DRAFT))


def test_an_illegal_move_names_the_legal_ones() -> None:
    with pytest.raises(Conflict) as refused:
        TRANSITIONS.move(JobState.DRAFT, "stop")
    assert refused.value.code == "illegal_state"
    assert refused.value.extra["allowed"] == ["start"]


@pytest.mark.parametrize("table", [job.TRANSITIONS, allocation.TRANSITIONS, model.TRANSITIONS], ids=lambda t: t.name)
def test_the_readme_draws_the_table(table) -> None:
    drawn = re.findall(r"```mermaid\n(.*?)\n```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert table.mermaid() in drawn
