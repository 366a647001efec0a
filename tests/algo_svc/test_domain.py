"""The pure rules: states, parameters, interfaces, and what the README draws."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algo_svc.domain import algorithm, engine
from algo_svc.domain.algorithm import Algorithm, AlgorithmState
from algo_svc.domain.checks import reserved_name
from algo_svc.domain.interfaces import interface_faults
from algo_svc.domain.parameters import parameter_faults, value_fault
from common.contracts.shared import (
    EngineRef,
    InferencePart,
    Interface,
    InterfaceInput,
    ManifestRef,
    Parameter,
    TrainingPart,
)
from common.kernel.errors import Conflict

README = Path(__file__).parents[2] / "services/algo-svc/README.md"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CODE = ManifestRef(address="a/index", digest="d", files=1, bytes=1)


def test_the_readme_draws_the_tables() -> None:
    text = README.read_text("utf-8")
    assert algorithm.TRANSITIONS.mermaid() in text
    assert engine.TRANSITIONS.mermaid() in text


training_parts = st.builds(
    TrainingPart,
    engine=st.sampled_from([None, EngineRef(name="e")]),
    image=st.sampled_from([None, "img:1"]),
    code=st.sampled_from([None, CODE]),
    command=st.sampled_from([(), ("python", "main.py")]),
)
inference_parts = st.none() | st.builds(
    InferencePart,
    image=st.sampled_from([None, "img:1"]),
    interface=st.sampled_from([None, Interface(name="i")]),
)


@pytest.mark.row("A1", "A7")
@given(st.lists(st.fixed_dictionaries({"training": training_parts, "inference": inference_parts}), max_size=6))
def test_the_state_follows_from_what_it_has(edits: list[dict[str, Any]]) -> None:
    one = Algorithm("algo-1", "n", "alice", "image/classification", ("dir",), TrainingPart(), NOW, NOW).settled()
    for edit in edits:
        after = one.edited(**edit)
        assert after.state == (AlgorithmState.DRAFT if after.missing() else AlgorithmState.READY)
        changed = (after.training, after.inference) != (one.training, one.inference)
        assert after.revision == one.revision + changed
        one = after
    if one.missing():
        with pytest.raises(Conflict, match="it needs"):
            one.put_online()
    else:
        online = one.put_online()
        with pytest.raises(Conflict, match="offline first"):
            online.edited(training=TrainingPart())
        assert online.taken_offline() == one


def faults(**fields: Any) -> list[str]:
    fields = {"name": "epochs", "type": "integer"} | fields
    found = parameter_faults("p", [Parameter(**fields)], reserved_name)
    return [fault.where for fault in found]


@pytest.mark.row("A2")
@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"name": "1st"}, "p.0.name"),
        ({"name": "LD_PRELOAD"}, "p.0.name"),
        ({"name": "pythonpath"}, "p.0.name"),
        ({"name": "YARD_JOB_ID"}, "p.0.name"),
        ({"name": "data_dir"}, "p.0.name"),
        ({"default": "5"}, "p.0.default"),
        ({"default": True}, "p.0.default"),
        ({"default": 0, "minimum": 1}, "p.0.default"),
        ({"default": 9, "maximum": 8}, "p.0.default"),
        ({"minimum": 2, "maximum": 1}, "p.0.minimum"),
        ({"type": "string", "minimum": 1}, "p.0.minimum"),
        ({"type": "string", "default": "c", "choices": ("a", "b")}, "p.0.default"),
        ({"choices": ()}, "p.0.choices"),
        ({"choices": (1, 1)}, "p.0.choices.1"),
        ({"choices": ("a",)}, "p.0.choices.0"),
        ({"type": "number", "default": float("nan")}, "p.0.default"),
        ({"type": "number", "minimum": float("inf")}, "p.0.minimum"),
    ],
)
def test_declarations_that_contradict_themselves(fields: dict[str, Any], where: str) -> None:
    assert where in faults(**fields)


@pytest.mark.row("A2")
def test_names_that_differ_only_in_case_are_one_too_many() -> None:
    two = [Parameter(name="Epochs", type="integer"), Parameter(name="epochs", type="integer")]
    assert [fault.where for fault in parameter_faults("p", two, reserved_name)] == ["p.1.name"]


@pytest.mark.row("A2")
@given(st.integers(), st.integers(), st.integers())
def test_a_value_fits_exactly_within_its_range(low: int, high: int, value: int) -> None:
    parameter = Parameter(name="n", type="integer", minimum=low, maximum=high)
    within = float(low) <= value <= float(high)
    assert (value_fault(parameter, value) == "") == within


def interface(**fields: Any) -> list[str]:
    fields = {"name": "classify", "inputs": (InterfaceInput(name="text"),)} | fields
    return [fault.where for fault in interface_faults("i", Interface(**fields))]


@pytest.mark.row("A3")
def test_the_interface_of_the_seed_is_good() -> None:
    text = InterfaceInput(name="text", type="String", required=True, test_value="足球", description="待分类文本")
    assert interface(name="classification_param", method="POST", style="params", inputs=(text,)) == []
    image = InterfaceInput(name="image", type="File", test_value="aGk=")
    assert interface(style="file", inputs=(image, InterfaceInput(name="top"))) == []


@pytest.mark.row("A3")
@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"method": "GET", "style": "json"}, "i.style"),
        ({"style": "file"}, "i.inputs"),
        ({"inputs": (InterfaceInput(name="f", type="File"),)}, "i.style"),
        ({"inputs": (InterfaceInput(name="a"), InterfaceInput(name="a"))}, "i.inputs.1.name"),
        ({"inputs": (InterfaceInput(name="a", type="Integer", test_value="x"),)}, "i.inputs.0.test_value"),
        ({"inputs": (InterfaceInput(name="a", type="Blob"),)}, "i.inputs.0.type"),
        ({"inputs": (InterfaceInput(name=""),)}, "i.inputs.0.name"),
        (
            {"style": "file", "inputs": (InterfaceInput(name="f", type="File", test_value="%"),)},
            "i.inputs.0.test_value",
        ),
        ({"path": "/health"}, "i.path"),
        ({"path": "/a/../b"}, "i.path"),
        ({"path": "a?b=c"}, "i.path"),
        ({"name": "a b"}, "i.name"),
    ],
)
def test_interfaces_that_make_no_sense(fields: dict[str, Any], where: str) -> None:
    assert where in interface(**fields)
