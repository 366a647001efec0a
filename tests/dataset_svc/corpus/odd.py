"""Right JSON of the wrong kind: values of another type than they should have, each told with its file."""

from __future__ import annotations

import json
from typing import Any

from tests.dataset_svc.corpus.annotations import (
    DETECT,
    ENTITY,
    FILE,
    GOOD_LINES,
    RELATION,
    Case,
    bad_ann,
    bad_box,
    bad_coco,
    bad_rows,
    bad_shape,
    lines,
)
from tests.dataset_svc.corpus.good import ANN, PNG, TXT, coco, labelme, with_coco, with_labelme
from tests.dataset_svc.corpus.marked import text

HALF = "\ud800"
HUGE = 10**30


def bad_marked(name: str, code: str, purpose: str = RELATION, **changed: Any) -> Case:
    """The second line is wrong; it is ASCII, since halves of characters can't be written otherwise."""
    content = "".join(json.dumps(row) + "\n" for row in (text(), text(**changed)))
    return Case(name, purpose, {"t.jsonl": content.encode()}, [(code, "t.jsonl", 2)])


def marked(**changed: Any) -> dict[str, Any]:
    return {"start": 0, "end": 2, "label": "Person", **changed}


def related(**changed: Any) -> dict[str, Any]:
    return {"from": 1, "to": 2, "type": "LivesIn", **changed}


ODD = [
    ("json", bad_shape("label that is seven", "bad_label", label=7)),
    ("json", bad_shape("label that is a list", "bad_label", label=[1])),
    ("json", bad_shape("shape type that is a list", "unknown_shape", shape_type=[])),
    ("json", bad_shape("shape type that is an object", "unknown_shape", shape_type={})),
    (
        "json",
        Case(
            "a width that no image has, and no image",
            DETECT,
            {"a/1.json": labelme(imageWidth=HUGE), "a/1.png": PNG[:-20]},
            [("image_damaged", "a/1.png", None)],
        ),
    ),
    ("json", Case("labelme, with images of its own", DETECT, with_labelme(labelme(images="x")), [])),
    (
        "json",
        bad_box("mask of a size beyond 64 bits", "bad_mask", segmentation={"size": [HUGE, 1], "counts": [0, HUGE]}),
    ),
    (
        "json",
        bad_box("mask of a size of 4,000 digits", "bad_mask", segmentation={"size": [10**4000] * 2, "counts": [1]}),
    ),
    (
        "json",
        bad_coco(
            "categories by halves",
            *["bad_label"] * 2,
            *["unknown_category"] * 2,
            categories=[{"id": 1, "name": [1]}, {"id": 2, "name": {}}],
        ),
    ),
    (
        "json",
        Case(
            "sections of numbers",
            DETECT,
            with_coco(coco(images=[1, 2], annotations=[None, []], categories=["a", 1.5])),
            [*[("bad_entry", FILE, None)] * 6, ("no_objects", "", None)],
            [("unlisted_image", f"images/{number}.png", None) for number in (1, 2)],
        ),
    ),
    ("json", bad_marked("entity with half a character as id", "bad_entity", entities=[marked(id=HALF)], relations=[])),
    ("json", bad_marked("entity with a list as id", "bad_entity", entities=[marked(id=[[1]])], relations=[])),
    ("json", bad_marked("relation with half a character as id", "bad_relation", relations=[related(id=HALF)])),
    ("json", bad_marked("relation with an object as id", "bad_relation", relations=[related(id={})])),
    ("json", bad_marked("relation to a list", "missing_reference", relations=[related(to=[2])])),
    ("json", bad_marked("relation to half a character", "missing_reference", relations=[related(to=HALF)])),
    (
        "single_text",
        bad_rows("json lines, columns without a name", lines(*GOOD_LINES, {"": "a"}), ("bad_row", 3), file="t.jsonl"),
    ),
    (
        "single_text",
        bad_rows(
            "json lines, no text, and a column without a name",
            lines(*GOOD_LINES, {"": "a", "label": "b"}),
            ("bad_row", 3),
            file="t.jsonl",
        ),
    ),
    ("brat_ann", Case("brat, in capitals", RELATION, {"a.TXT": TXT, "a.ANN": ANN}, [])),
    ("brat_ann", Case("brat, in capitals and not", RELATION, {"a.txt": TXT, "a.Ann": ANN}, [])),
    (
        "brat_ann",
        Case(
            "brat, in capitals and alone",
            ENTITY,
            {"a.TXT": TXT, "a.ANN": ANN, "b.TXT": TXT, "c.ANN": ANN},
            [("missing_annotation", "b.TXT", None), ("missing_text", "c.ANN", None)],
        ),
    ),
    (
        "brat_ann",
        Case(
            "brat, in capitals and wrong",
            ENTITY,
            {"a.TXT": TXT, "a.ANN": ANN + b"hello\n"},
            [("bad_line", "a.ANN", 4)],
        ),
    ),
    (
        "brat_ann",
        Case(
            "brat, the same half twice",
            ENTITY,
            {"a.txt": TXT, "a.TXT": TXT, "a.ann": ANN},
            [("duplicate_document", "a.TXT", None)],
        ),
    ),
    ("brat_ann", bad_ann("spans over one another", "T9\tPerson 0 2;0 8\tx", "bad_offsets")),
    ("brat_ann", bad_ann("a long span of a short text", "T9\tPerson 0 8000\tx", "text_mismatch", text=TXT * 1000)),
]
"""Format and case."""
