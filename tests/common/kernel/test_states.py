"""A wrong table fails when it is made, not when somebody runs into it."""

from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kernel.errors import Conflict
from common.kernel.states import Transitions


class Light(StrEnum):
    RED = "red"
    GREEN = "green"
    DARK = "dark"


GOOD = {(Light.RED, "go"): Light.GREEN, (Light.GREEN, "stop"): Light.RED, (Light.RED, "break"): Light.DARK}


def test_a_state_that_cannot_be_reached_is_refused():
    with pytest.raises(ValueError, match="dark can't be reached"):
        Transitions("light", Light.RED, {(Light.RED, "go"): Light.GREEN, (Light.GREEN, "stop"): Light.RED})


def test_a_state_without_a_way_out_must_be_final():
    with pytest.raises(ValueError, match="no way out of dark"):
        Transitions("light", Light.RED, GOOD)
    Transitions("light", Light.RED, GOOD, final=[Light.DARK])


@given(st.lists(st.sampled_from(["go", "stop", "break"])))
def test_only_the_tables_moves_are_possible(verbs):
    table, state = Transitions("light", Light.RED, GOOD, final=[Light.DARK]), Light.RED
    for verb in verbs:
        if (state, verb) in GOOD:
            state = table.move(state, verb)
        else:
            with pytest.raises(Conflict) as refused:
                table.move(state, verb)
            assert refused.value.code == "illegal_state"
            assert refused.value.extra["allowed"] == list(table.verbs(state))


def test_the_diagram_shows_every_move():
    drawn = Transitions("light", Light.RED, GOOD, final=[Light.DARK]).mermaid()
    assert "red --> green: go" in drawn
    assert "[*] --> red" in drawn
    assert "dark --> [*]" in drawn
