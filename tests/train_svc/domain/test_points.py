"""Points are read as they were written, and a thinned curve keeps its peaks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train_svc.domain.points import MOST_FAULTS, Column, Points, from_lines, gather, thin, unpacked

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
CURVES = st.lists(NUMBERS, max_size=300).map(lambda values: list(enumerate(values)))


@pytest.mark.row("T11")
@given(CURVES, st.integers(4, 120))
def test_thinning_keeps_ends_lowest_and_highest(curve: list[tuple[int, float]], most: int) -> None:
    thinned = thin(curve, most)
    assert len(thinned) <= most
    assert thinned == sorted(set(thinned)) if curve else thinned == []
    assert set(thinned) <= set(curve)
    if curve:
        assert (thinned[0], thinned[-1]) == (curve[0], curve[-1])
        values, kept = [v for _, v in curve], [v for _, v in thinned]
        assert (min(values), max(values)) == (min(kept), max(kept))


@given(CURVES)
def test_no_limit_keeps_all(curve: list[tuple[int, float]]) -> None:
    assert thin(curve, 0) == curve


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), NUMBERS)))
def test_packing_is_exact_and_of_two_values_the_later_counts(points: list[tuple[int, float]]) -> None:
    column = Column([s for s, _ in points], [v for _, v in points]).settle()
    assert dict(zip(column.steps, column.values, strict=True)) == dict(points)
    assert column.steps == sorted(set(column.steps))
    assert unpacked(*column.packed()) == column


@given(st.dictionaries(st.integers(0, 1000), st.dictionaries(st.sampled_from(["loss", "acc", "学习率"]), NUMBERS)))
def test_lines_are_read_as_they_were_written(points: dict[int, dict[str, float]]) -> None:
    text = "".join(json.dumps({"step": step, **values}) + "\n" for step, values in points.items()).encode()
    found = from_lines(text)
    assert found.wrong == 0
    read = {(n, s): v for n, c in found.columns.items() for s, v in zip(c.steps, c.values, strict=True)}
    assert read == {(name, step): value for step, values in points.items() for name, value in values.items()}


def test_what_is_no_number_is_left_out_and_counted_and_the_rest_kept() -> None:
    lines = [
        b'{"step": 1, "loss": NaN, "accuracy": 0.5}',
        b'{"step": 2, "loss": 0.25}',
        b'{"step": 3, "lo',
        b'{"step": -1, "loss": 1}',
        b'{"step": 1.5, "loss": 1}',
        b'{"step": true, "loss": 1}',
        b'{"step": 4, "loss": "low", "ok": true, "big": 1e999}',
        b"[]",
        b"\xff\xfe",
        b"",
        b'{"step": 5, "accuracy": 1}',
    ]
    found = from_lines(b"\n".join(lines))
    assert found.columns == {"accuracy": Column([1, 5], [0.5, 1]), "loss": Column([2], [0.25])}
    assert found.wrong == 10
    assert found.taken == 3


ANYTHING = st.one_of(NUMBERS, st.floats(), st.integers(), st.booleans(), st.text(max_size=2), st.none())
POINTS = st.dictionaries(st.sampled_from(["step", "loss", "", "acc"]), ANYTHING)
GOOD = st.fixed_dictionaries({"step": st.integers(0, 50), "loss": NUMBERS, "acc": NUMBERS})


@given(st.lists(st.one_of(GOOD, POINTS, ANYTHING), max_size=6) | st.lists(GOOD, max_size=20))
def test_taking_columns_whole_comes_to_the_same_as_taking_points(points: list) -> None:
    singly = gather(points, Points())
    assert gather(points).settle() == singly.settle()


def test_faults_are_told_up_to_a_number() -> None:
    found = gather([{"loss": 1}] * 100)
    assert (len(found.faults), found.wrong) == (MOST_FAULTS, 100)
    assert gather([{"step": 1, "x" * 101: 1.0, "": 2.0, "a\nb": 3.0}]).wrong == 3
    assert gather([{"step": 1, "n": 10**400}]).wrong == 1
