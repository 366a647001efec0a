"""Broken files of the other pairs of format and purpose: images with classes, texts with entities, JSON and tokens."""

from __future__ import annotations

import json
from typing import Any

from tests.dataset_svc.corpus.annotations import ENTITY, RELATION, Case, Fault
from tests.dataset_svc.corpus.good import PNG, Files, coco

LABEL = "image/classification"


def text(**changed: Any) -> dict[str, Any]:
    """A right text with two entities and a relation."""
    entities = [
        {"id": 1, "start": 0, "end": 2, "label": "Person", "text": "张三"},
        {"id": 2, "start_offset": 4, "end_offset": 6, "label": "Place"},
    ]
    relations = [{"id": 1, "from_id": 1, "to_id": 2, "type": "LivesIn"}]
    return {"text": "张三住在北京。", "entities": entities, "relations": relations, **changed}


def dumped(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def lines(*rows: Any) -> bytes:
    return b"".join(dumped(row) + b"\n" for row in rows)


def images(**labels: Any) -> Files:
    """Two images, each with a file beside it."""
    both: dict[str, Any] = {"1": {"label": "猫"}, "2": {"labels": ["dog", "猫"]}, **labels}
    named = {f"a/{name}.json": dumped(said) for name, said in both.items() if said is not None}
    return {**named, "a/1.png": PNG, "a/2.png": PNG}


def bad_image(name: str, code: str, said: Any) -> Case:
    return Case(name, LABEL, images(**{"3": said}), [(code, "a/3.json", None)])


PLAIN = [{"id": number, "image_id": number, "category_id": number} for number in (1, 2)]
LISTED = {"1.png": PNG, "2.png": PNG}
LABELLED = [
    Case("labels, right", LABEL, images(), []),
    Case(
        "labels, LabelMe's flags", LABEL, images(**{"1": {"imagePath": "1.png", "flags": {"猫": True, "x": False}}}), []
    ),
    Case("labels, COCO without boxes", LABEL, {"c.json": coco(annotations=PLAIN), **LISTED}, []),
    Case(
        "labels, a list",
        LABEL,
        {"l.json": dumped([{"image": "1.png", "label": "a"}, {"image": "2.png", "label": "b"}]), **LISTED},
        [],
    ),
    Case(
        "labels, JSON lines before their images",
        LABEL,
        {"m.jsonl": lines({"file_name": "1.png", "label": "a"}, {"file_name": "2.png", "label": "b"}), **LISTED},
        [],
    ),
    bad_image("label of another image", "duplicate_image", {"image": "1.png", "label": "a"}),
    bad_image("label of no image", "missing_file", {"label": "a"}),
    bad_image("label of an image that is not there", "missing_file", {"image": "9.png", "label": "a"}),
    bad_image("image without label", "bad_label", {"image": "1.png"}),
    bad_image("image without any true flag", "bad_label", {"image": "1.png", "flags": {"a": False}}),
    bad_image("label that is a number", "bad_label", {"image": "1.png", "label": 3}),
    bad_image("label that is empty", "bad_label", {"image": "1.png", "labels": ["a", " "]}),
    bad_image("a number instead of an object", "bad_row", 3),
    bad_image("a list without images' names", "bad_row", [{"label": "a"}]),
    Case("labels, no json", LABEL, {**images(), "a/3.json": b"{"}, [("bad_json", "a/3.json", 1)]),
    Case(
        "labels, a line that is none",
        LABEL,
        {"m.jsonl": lines({"image": "1.png", "label": "a"}, {"image": "2.png", "label": "b"}) + b"{\n", **LISTED},
        [("bad_json", "m.jsonl", 3)],
    ),
    Case("labels, one class", LABEL, images(**{"2": {"label": "猫"}}), [("too_few_classes", "", None)]),
    Case(
        "labels, an image without",
        LABEL,
        {**images(), "a/3.png": PNG},
        [],
        [("unlisted_image", "a/3.png", None)],
    ),
    Case("labels, none at all", LABEL, LISTED, [("no_annotations", "", None)]),
    Case(
        "labels, COCO that says nothing",
        LABEL,
        {"c.json": coco(annotations=[]), **LISTED},
        [("no_objects", "", None)],
        [("unlisted_image", "1.png", None), ("unlisted_image", "2.png", None)],
    ),
    Case(
        "labels, COCO of another category",
        LABEL,
        {"c.json": coco(annotations=[*PLAIN, {"id": 3, "image_id": 1, "category_id": 9}]), **LISTED},
        [("unknown_category", "c.json", None)],
    ),
]


def bad_text(name: str, code: str, purpose: str = ENTITY, **changed: Any) -> Case:
    return Case(name, purpose, {"t.jsonl": lines(text(), text(**changed))}, [(code, "t.jsonl", 2)])


def bad_entity(name: str, code: str, *entities: Any) -> Case:
    return bad_text(name, code, entities=list(entities), relations=[])


TEXTS = [
    Case("texts, JSON lines", RELATION, {"t.jsonl": lines(text(), text())}, []),
    Case("texts, a file each", RELATION, {"a.json": dumped(text()), "b/b.json": dumped(text())}, []),
    Case("texts, a list", ENTITY, {"t.json": dumped([text(), text(entities=[], relations=[])])}, []),
    Case("texts, doccano's triples", ENTITY, {"t.jsonl": lines({"text": "张三", "label": [[0, 2, "Person"]]})}, []),
    Case("texts, GB18030", ENTITY, {"t.jsonl": lines(text()).decode().encode("gb18030")}, []),
    bad_entity("entity that is a word", "bad_entity", "Person"),
    bad_entity("entity of two numbers", "bad_entity", [0, 2]),
    bad_entity("entity without label", "bad_label", {"start": 0, "end": 2}),
    bad_entity("entity with an empty label", "bad_label", [0, 2, " "]),
    bad_entity("entity backwards", "bad_offsets", [2, 0, "Person"]),
    bad_entity("entity of nothing", "bad_offsets", [2, 2, "Person"]),
    bad_entity("entity before the text", "bad_offsets", [-1, 2, "Person"]),
    bad_entity("entity between characters", "bad_offsets", [0.5, 2, "Person"]),
    bad_entity("entity outside", "offsets_outside", [0, 99, "Person"]),
    bad_entity("entity by bytes", "text_mismatch", {"start": 0, "end": 6, "label": "Person", "text": "张三"}),
    bad_text("text that is a number", "bad_row", text=3),
    Case(
        "half a character in a text",
        ENTITY,
        {"t.jsonl": lines(text()) + b'{"text": "\\ud800", "entities": []}'},
        [("bad_row", "t.jsonl", 2)],
    ),
    bad_text("text that is empty", "empty_text", text=" ", entities=[], relations=[]),
    bad_text("no entities", "bad_row", entities=None),
    bad_text("relation to nothing", "missing_reference", RELATION, relations=[{"from": 1, "to": 9, "label": "x"}]),
    bad_text("relation that is a list", "bad_relation", RELATION, relations=[[1, 2]]),
    bad_text("relation without type", "bad_label", RELATION, relations=[{"from": 1, "to": 2}]),
    bad_text("relations that are none", "bad_row", RELATION, relations="x"),
    Case("texts, a line that is no object", ENTITY, {"t.jsonl": lines(text(), 3)}, [("bad_row", "t.jsonl", 2)]),
    Case("texts, no json", ENTITY, {"t.json": b"{", "u.json": dumped(text())}, [("bad_json", "t.json", 1)]),
    Case(
        "texts, none", ENTITY, {"readme.md": b"x"}, [("no_annotations", "", None)], [("other_file", "readme.md", None)]
    ),
    Case(
        "texts, nothing marked",
        ENTITY,
        {"t.json": dumped(text(entities=[], relations=[]))},
        [("no_entities", "", None)],
    ),
    Case("texts, nothing related", RELATION, {"t.json": dumped(text(relations=[]))}, [("no_relations", "", None)]),
]

BIO = "张 B-Person\n三 I-Person\n住 O\n在 O\n北 B-Place\n京 I-Place\n\nJohn B-Person\nSmith I-Person\nsleeps O\n"
FILE = "t.bio"


def tokens(name: str, content: str, *errors: Fault, warnings: list[Fault] | None = None, file: str = FILE) -> Case:
    return Case(name, ENTITY, {file: content.encode()}, list(errors), warnings or [])


TOKENS = [
    tokens("tokens, BIO", BIO),
    tokens("tokens, BMES with tabs", "张\tB-Per\n三\tE-Per\n \tO\n李\tS-Per\n", file="t.tsv"),
    tokens("tokens, of CoNLL-2003", "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n", file="t.conll"),
    tokens("tokens, on Windows", BIO.replace("\n", "\r\n"), file="t.txt"),
    Case("tokens, as JSON lines", ENTITY, {"t.jsonl": lines(text())}, []),
    tokens("tokens, one without a tag", BIO + "三\n", ("wrong_columns", FILE, 11)),
    tokens("tokens, a tag without a token", BIO + "\tO\n", ("wrong_columns", FILE, 11)),
    tokens("tokens, a tag that is none", BIO + "三 Person\n", ("bad_tag", FILE, 11)),
    tokens("tokens, a tag without a class", BIO + "三 B-\n", ("bad_tag", FILE, 11)),
    tokens("tokens, one that goes on with nothing", "三 I-Person\n", warnings=[("loose_tag", FILE, 1)]),
    tokens("tokens, nothing marked", "三 O\n", ("no_entities", "", None)),
    tokens("tokens, binary", "三 \0\n", ("binary_text", FILE, 1), ("no_entities", "", None)),
    Case(
        "tokens, two files",
        ENTITY,
        {"a.bio": BIO.encode(), "b.bio": BIO.encode()},
        [("several_files", "b.bio", None)],
    ),
    Case("tokens, no file", ENTITY, {"a.csv": b"x"}, [("no_samples_file", "", None)], [("other_file", "a.csv", None)]),
]
