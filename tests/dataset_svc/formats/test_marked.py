"""Texts with entities in JSON: each entity has an id of its own, and only what pages need is kept of the texts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.formats.marked import Reader
from dataset_svc.importing import Report

FIRST, SECOND = {"start": 0, "end": 1, "label": "a"}, {"start": 1, "end": 2, "label": "b"}


def read(*entities: Any, relations: tuple[Any, ...] = ()) -> tuple[list[str], list[tuple[str, str]]]:
    """The ids of the entities, and code and reason of each fault."""
    report = Report()
    found = Reader(report).read("t.json", 1, {"text": "xyz", "entities": list(entities), "relations": list(relations)})
    assert found is not None
    return [entity["id"] for entity in found.entities], [(fault.code, fault.reason) for fault in report.faults]


@pytest.mark.row("D2")
@pytest.mark.parametrize(
    "entities",
    [
        ({**FIRST, "id": "7"}, {**SECOND, "id": "7"}),
        ({**FIRST, "id": 7}, {**SECOND, "id": "7"}),
        ([0, 1, "a"], {**SECOND, "id": "0"}),
        ([0, 1, "a"], {**SECOND, "id": 0}),
        ({**FIRST, "id": 1}, [1, 2, "b"]),
    ],
)
def test_two_entities_of_a_text_with_one_id_are_told(entities: tuple[Any, Any]) -> None:
    [name], [(code, reason)] = read(*entities)
    assert code == "duplicate_id"
    assert reason.startswith(f"Entity 1: its id {name!r} is that of entity 0. Give each its own")


@pytest.mark.parametrize(
    ("entities", "ids"),
    [
        (([0, 1, "a"], [1, 2, "b"]), ["0", "1"]),
        (({**FIRST, "id": 0}, [1, 2, "b"]), ["0", "1"]),
        (({**FIRST, "id": "x"}, {**SECOND, "id": 0}), ["x", "0"]),
        (({**FIRST, "id": 2}, {**SECOND, "id": 1}), ["2", "1"]),
    ],
)
def test_places_and_ids_that_differ_stand_beside_one_another(entities: tuple[Any, ...], ids: list[str]) -> None:
    assert read(*entities) == (ids, [])


def test_an_id_of_what_was_refused_is_free() -> None:
    names, faults = read({**FIRST, "id": "7", "end": 99}, {**SECOND, "id": "7"})
    assert (names, [code for code, _ in faults]) == (["7"], ["offsets_outside"])


def test_another_text_may_have_the_same_ids() -> None:
    report = Report()
    reader = Reader(report)
    for line in (1, 2):
        reader.read("t.jsonl", line, {"text": "xyz", "entities": [{**FIRST, "id": 7}]})
    assert report.faults == []


@pytest.mark.row("D2")
@pytest.mark.parametrize("said", [True, False])
def test_a_truth_is_no_id(said: bool) -> None:
    [(code, reason)] = read({**FIRST, "id": said})[1]
    assert (code, reason) == ("bad_entity", "Entity 0: its id is neither a string nor a number.")
    related = {"from": 1, "to": 1, "type": "r"}
    assert [code for code, _ in read({**FIRST, "id": 1}, relations=({**related, "id": said},))[1]] == ["bad_relation"]
    for end in ("from", "to"):
        codes = [code for code, _ in read({**FIRST, "id": 1}, relations=({**related, end: said},))[1]]
        assert codes == ["missing_reference"]


TEXTS = [{"text": f"text {n}", "entities": [{"start": 0, "end": 4, "label": f"k{n % 2}"}]} for n in range(30)]
ENTITIES, TABLE = "text/entity", "text/classification"
MANY = {
    "a list": ("json", ENTITIES, "t.json", json.dumps(TEXTS)),
    "lines": ("json", ENTITIES, "t.jsonl", "\n".join(map(json.dumps, TEXTS))),
    "the only file, of lines": ("single_text", ENTITIES, "t.jsonl", "\n".join(map(json.dumps, TEXTS))),
    "tokens": ("single_text", ENTITIES, "t.bio", "text B-k0\n\ntext B-k1\n\n" * 15),
    "a table": ("single_text", TABLE, "t.csv", "text,label\n" + "text 1,k0\ntext 2,k1\n" * 15),
}


def kept(format: str, purpose: str, path: str, content: str) -> tuple[dict[str, Any], set[str]]:
    """What is kept of an archive's one file to be shown, and the classes by which it is found."""
    checker = get_format(format).checker(purpose, Report(), ContentLimits())
    checker.whole(path, content.encode())
    [(of, found, labels)] = checker.annotations()
    assert of == path
    return json.loads(found), set(labels)


@pytest.mark.row("D5")
@pytest.mark.parametrize("name", MANY)
def test_texts_that_are_noted_are_not_kept_a_second_time(name: str) -> None:
    """Pages show them from the file itself."""
    format, purpose, path, content = MANY[name]
    found, labels = kept(format, purpose, path, content)
    assert found == {"kind": "rows", "total": 30, "rows": []}
    assert labels == ({"k0", "k1"} if purpose == ENTITIES else set())


@pytest.mark.row("D5")
def test_a_text_that_is_a_file_of_its_own_is_kept_to_be_shown() -> None:
    found, labels = kept("json", ENTITIES, "t.json", json.dumps(TEXTS[1]))
    entity = {"id": "0", "class": "k1", "spans": [[0, 4]], "text": "text"}
    assert found == {"kind": "rows", "total": 1, "rows": [{"line": 1, "text": "text 1", "entities": [entity]}]}
    assert labels == {"k1"}
