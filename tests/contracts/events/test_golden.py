"""The events as other systems know them: frozen types, and evolution by addition only.

A golden file is what some subscriber was written against. A new field with a default keeps these tests green; a
renamed, removed or re-typed one does not. For a new event add a golden file; never edit one that was released.
"""

import json
from pathlib import Path

import pytest

import common.contracts  # noqa: F401 - registers every event type
from common.kernel.events import EVENT_TYPES, CloudEvent, EventData

GOLDEN = {path.stem: path for path in (Path(__file__).parent / "golden").glob("*.json")}

DESIGNED = {
    "dataset": "imported import_failed online offline changed deleted",
    "algorithm": "online offline changed deleted",
    "image": "ready failed deleted",
    "job": "queued started succeeded failed stopped timed_out preempted deleted",
    "model": "created published shared deleted",
    "project": "started stopped image_saved published deleted",
    "service": "created started scaled stopped changed deleted",
    "allocation": "requested granted refused preempting revoked cancelled confirmed released",
}


def test_every_designed_event_is_declared_and_has_a_golden_file():
    designed = {f"{kind}.{verb}" for kind, verbs in DESIGNED.items() for verb in verbs.split()}
    assert set(EVENT_TYPES) == designed
    assert set(GOLDEN) == designed


def contains(new, old) -> bool:
    """Whether all of the old is in the new, at the same place with the same value."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(key in new and contains(new[key], old[key]) for key in old)
    if isinstance(old, list):
        return isinstance(new, list) and len(new) == len(old) and all(map(contains, new, old))
    return new == old


@pytest.mark.parametrize("event_type", sorted(GOLDEN))
def test_a_golden_event_is_read_and_written_without_loss(event_type):
    golden = json.loads(GOLDEN[event_type].read_text())
    event = CloudEvent.model_validate(golden)
    assert event.type == event_type
    assert contains(json.loads(event.model_dump_json()), golden)
    assert contains(event.payload().model_dump(mode="json"), golden["data"])


def test_a_reader_ignores_what_later_versions_add():
    golden = json.loads(GOLDEN["dataset.online"].read_text())
    golden["data"]["a_later_field"] = 1
    golden["a_later_extension"] = "x"
    assert CloudEvent.model_validate(golden).payload() == EVENT_TYPES["dataset.online"].model_validate(golden["data"])


def test_a_type_cannot_be_declared_twice():
    with pytest.raises(TypeError, match=r"dataset\.online"):
        type("Again", (EventData,), {"type": "dataset.online", "__module__": __name__, "__annotations__": {}})
