"""Curves, evaluations, amounts and times as text."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yard import YardError
from yard.charts import Frame, beside, can_braille, chart
from yard.cli.parameters import resources_of, seconds, size, typed
from yard.evaluations import evaluation_text
from yard.forms import duration, moment, pairs, placements, resources
from yard.forms import size as size_text

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=50), st.booleans(), st.integers(4, 60), st.integers(2, 12))
def test_a_chart_always_has_its_size(values: list[float], braille: bool, width: int, height: int) -> None:
    lines = chart("loss", list(enumerate(values)), Frame(width, height, braille))
    assert len(lines) == height + 3
    bar = "│" if braille else "|"
    drawn = [line.split(bar, 1)[1] for line in lines[1:-2]]
    assert {len(line) for line in drawn} == {width}
    assert any(line.strip() for line in drawn)


def test_a_rising_curve_goes_from_below_left_to_above_right() -> None:
    lines = chart("accuracy", [(1, 0.0), (10, 1.0)], Frame(10, 4, braille=False))
    assert lines[1].endswith("*")
    assert lines[4].split("|")[1].startswith("*")
    assert lines[1].startswith("1 ")
    assert lines[0] == "accuracy 1"


def test_charts_stand_side_by_side() -> None:
    assert beside([["ab", "c"], ["d"]]) == "ab    d\nc"


def test_braille_is_only_for_those_who_can_show_it() -> None:
    assert can_braille(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert not can_braille(io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))


def test_an_evaluation_with_its_matrix() -> None:
    told = {
        "accuracy": 0.75,
        "loss": 0.5,
        "classes": ["cat", "dog"],
        "per_class": {"cat": {"precision": 1.0, "recall": 0.5, "f1": 0.667, "support": 2}},
        "confusion_matrix": [[1, 1], [0, 2]],
        "evaluated_on": "test",
        "samples": 4,
    }
    lines = evaluation_text(told).splitlines()
    assert lines[0] == "accuracy 0.7500 loss 0.5000 on 4 held-out samples"
    assert lines[1].endswith("cat dog  predicted")
    assert lines[2].startswith("cat ")
    assert lines[2].split("│")[1].split() == ["1", "1"]
    assert lines[3].split("│")[1].split() == ["·", "2"]
    assert evaluation_text(told, plain=True).isascii()


def test_many_classes_have_no_matrix() -> None:
    names = [f"c{n}" for n in range(40)]
    told = {"accuracy": 1.0, "classes": names, "per_class": {}, "confusion_matrix": [[0] * 40] * 40}
    assert "│" not in evaluation_text(told)


@pytest.mark.parametrize(
    ("text", "wanted"), [("512", 512), ("512M", 512 << 20), ("2GiB", 2 << 30), ("2GB", 2 * 10**9), ("1.5 gib", 3 << 29)]
)
def test_memory_as_people_write_it(text: str, wanted: int) -> None:
    assert size(text) == wanted


@pytest.mark.parametrize(("text", "wanted"), [("90", 90), ("90s", 90), ("1.5m", 90), ("12h", 43200), ("3d", 259200)])
def test_times_as_people_write_them(text: str, wanted: int) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("call", [lambda: size("much"), lambda: seconds("soon"), lambda: typed(["epochs"], [])])
def test_what_cannot_be_read_is_told(call: object) -> None:
    assert callable(call)
    with pytest.raises(YardError, match="bad_option"):
        call()


def test_parameters_get_their_declared_types() -> None:
    declared = [
        {"name": "epochs", "type": "integer"},
        {"name": "rate", "type": "number"},
        {"name": "shuffle", "type": "boolean"},
        {"name": "tag", "type": "string"},
    ]
    given = ["epochs=3", "rate=1e-3", "shuffle=no", "tag=7", "other=8", "tag=a=b"]
    assert typed(given, declared) == {"epochs": 3, "rate": 1e-3, "shuffle": False, "tag": "a=b", "other": "8"}
    assert typed(["epochs=many"], declared) == {"epochs": "many"}


def test_resources_are_a_spec_or_amounts() -> None:
    assert resources_of(None, None, None, 0, 0) == {"spec": "small"}
    assert resources_of(None, 2.0, "1GiB", 1, 0) == {"cpu": 2.0, "memory": 1 << 30, "accelerator": "gpu", "count": 1}
    for wrong in [("small", 1.0, None, 0, 0), (None, None, None, 1, 1)]:
        with pytest.raises(YardError, match="bad_option"):
            resources_of(*wrong)


def test_values_for_people() -> None:
    assert size_text(382 * 1024) == "382.0 KiB"
    assert size_text(5) == "5 B"
    assert (duration(0.44), duration(200), duration(259200)) == ("0.4 s", "3 min 20 s", "72 h")
    asked = {"spec": "small", "cpu": 1.0, "memory": 1 << 29, "accelerator": None, "count": 0, "nodes": 1}
    assert resources(asked) == "spec=small  cpu=1  memory=512.0 MiB"
    assert pairs({"a": 1, "b": None, "c": [1, 2]}) == "a=1  c=[1, 2]"
    assert moment("2026-11-21T02:00:00Z").startswith("2026-11-2")
    assert moment("gibberish") == "gibberish"


def test_where_something_runs_says_what_is_simulated() -> None:
    places = [{"node": "a", "devices": ["gpu-0", "gpu-1"], "simulated": True}, {"node": "b", "devices": []}]
    assert placements(places) == "a: gpu-0 gpu-1 (simulated); b"
    assert placements(None) == ""
