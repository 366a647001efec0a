"""What breaks a reader is found, and what is only added passes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.contracts import asyncapi
from common.contracts.evolution import advice, breaks

ROOT = Path(__file__).parents[3]
RELEASED: dict[str, Any] = yaml.safe_load((ROOT / asyncapi.DOCUMENT).read_text("utf-8"))

pytestmark = pytest.mark.row("P2")


def test_nothing_that_was_released_is_broken() -> None:
    broken = breaks(RELEASED, asyncapi.document(asyncapi.golden_in(ROOT / asyncapi.GOLDEN)))
    assert not broken, advice(broken)


def changed(path: str, value: Any = None) -> dict[str, Any]:
    """The released document with `components/<path>` set, or removed where no value is given."""
    after = copy.deepcopy(RELEASED)
    *way, last = path.split("/")
    place = after["components"]
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return after


JOB = "schemas/JobFailed"
BREAKS = {
    "an event is removed": ("messages/job.failed", None, "job.failed: the event is gone"),
    "a field is removed": (f"{JOB}/properties/detail", None, "job.failed data.detail: the field is gone"),
    "an optional field becomes required": (
        f"{JOB}/required",
        ["id", "name", "owner", "reason", "detail"],
        "job.failed data.detail: it is now required",
    ),
    "a field that was always there may be missing": (
        f"{JOB}/required",
        ["id", "name", "owner"],
        "job.failed data.reason: it was always there",
    ),
    "a type changes": (f"{JOB}/properties/name", {"type": "integer"}, "data.name: type was 'string' and is now"),
    "a field may become null": (
        f"{JOB}/properties/name",
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "job.failed data.name: its type has changed",
    ),
    "null is no longer possible": (
        f"{JOB}/properties/exit_code",
        {"type": "integer", "default": 0},
        "job.failed data.exit_code: its type has changed",
    ),
    "a value of an enumeration is removed": (
        "schemas/EndReason/enum",
        ["completed"],
        "job.failed data.reason: the value 'exit_code'",
    ),
    "a free text becomes an enumeration": (
        f"{JOB}/properties/detail",
        {"type": "string", "default": "", "enum": ["", "x"]},
        "job.failed data.detail: it was free",
    ),
    "a default changes": (
        f"{JOB}/properties/detail",
        {"type": "string", "default": "none"},
        "job.failed data.detail: default was '' and is now 'none'",
    ),
    "a limit changes": (
        "schemas/Resources/properties/nodes/minimum",
        2,
        "allocation.requested data.resources.nodes: minimum was 1",
    ),
    "the items of a list change": (
        "schemas/Placement/properties/devices/items",
        {"type": "integer"},
        "allocation.granted data.placements[].devices[]: type was 'string'",
    ),
    "a shared shape deep inside loses a field": (
        "schemas/ManifestRef/properties/digest",
        None,
        "dataset.online data.version.train.digest: the field is gone",
    ),
    "a new field is required": (
        f"{JOB}/required",
        ["id", "name", "owner", "reason", "cause"],
        "job.failed data.cause: the new field has no default",
    ),
    "the envelope loses a field": (
        "schemas/CloudEvent/properties/sequence",
        None,
        "envelope.sequence: the field is gone",
    ),
    "a version goes back": (
        "messages/job.failed/payload/allOf/1/properties/dataversion/const",
        0,
        "job.failed: dataversion went back",
    ),
}


def changed_in_lists(path: str, value: Any) -> dict[str, Any]:
    """`changed`, where the way leads through `allOf`, a list."""
    if "/allOf/" not in path:
        return changed(path, value)
    after = copy.deepcopy(RELEASED)
    place: Any = after["components"]
    *way, last = path.split("/")
    for step in way:
        place = place[int(step) if isinstance(place, list) else step]
    place[last] = value
    return after


@pytest.mark.parametrize("what", BREAKS)
def test_a_break_is_named_with_its_place(what: str) -> None:
    path, value, told = BREAKS[what]
    broken = breaks(RELEASED, changed_in_lists(path, value))
    assert any(told in line for line in broken), broken


def test_what_to_do_is_said() -> None:
    told = advice(["job.failed: the event is gone"])
    assert "job.failed" in told
    assert "dataversion" in told
    assert "default" in told


OPTIONAL = [
    {"type": "string", "default": ""},
    {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
    {"type": "array", "items": {"$ref": "#/components/schemas/Placement"}, "default": []},
]
NAMED = st.sampled_from(sorted(RELEASED["components"]["schemas"]))
OBJECTS = NAMED.filter(lambda name: "properties" in RELEASED["components"]["schemas"][name])


@given(name=OBJECTS, field=st.from_regex(r"new_[a-z]{1,8}", fullmatch=True), schema=st.sampled_from(OPTIONAL))
def test_an_optional_field_may_be_added_anywhere(name: str, field: str, schema: dict[str, Any]) -> None:
    assert breaks(RELEASED, changed(f"schemas/{name}/properties/{field}", schema)) == []


@given(name=OBJECTS, data=st.data())
def test_a_field_that_is_taken_away_is_missed_wherever_it_was(name: str, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(RELEASED["components"]["schemas"][name]["properties"])))
    broken = breaks(RELEASED, changed(f"schemas/{name}/properties/{field}"))
    assert any(line.endswith(f".{field}: the field is gone") for line in broken)


def test_events_values_and_words_may_be_added() -> None:
    after = copy.deepcopy(RELEASED)
    after["components"]["messages"]["job.paused"] = after["components"]["messages"]["job.started"]
    after["components"]["schemas"]["EndReason"]["enum"].append("moved")
    after["components"]["schemas"]["JobFailed"]["description"] = "Other words."
    assert breaks(RELEASED, after) == []
    assert breaks(after, RELEASED) != [], "and taking them away again is noticed"


def test_a_raised_dataversion_tells_readers_and_passes() -> None:
    after = changed_in_lists("messages/job.failed/payload/allOf/1/properties/dataversion/const", 2)
    del after["components"]["schemas"]["JobFailed"]["properties"]["detail"]
    assert breaks(RELEASED, after) == []


def test_shapes_that_contain_themselves_end() -> None:
    def with_a_tree(kind: str) -> dict[str, Any]:
        after = changed("schemas/Tree", {"properties": {"of": {"$ref": "#/components/schemas/Tree"}, "leaf": kind}})
        after["components"]["schemas"]["Tree"]["properties"]["leaf"] = {"type": kind}
        after["components"]["schemas"]["JobDeleted"]["properties"]["tree"] = {"$ref": "#/components/schemas/Tree"}
        return after

    assert breaks(with_a_tree("string"), with_a_tree("string")) == []
    assert breaks(with_a_tree("string"), with_a_tree("integer")) != []
