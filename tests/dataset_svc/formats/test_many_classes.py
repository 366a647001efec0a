"""There is one limit to the classes of a dataset, whatever its format: more are told once, and not all kept."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.formats.labels import MOST_CLASSES
from dataset_svc.importing import Report
from tests.dataset_svc.corpus.good import PNG, brat, coco

MANY = MOST_CLASSES + 5
ENTITIES = [{"start": 0, "end": 1, "label": f"k{n}"} for n in range(MANY)]
RELATIONS = [{"from": "0", "to": "0", "type": f"k{n}"} for n in range(MANY)]


def annotated(kind: str) -> tuple[str, bytes]:
    """A file with too many classes of that kind, and its name."""
    if kind == "relations":
        return "t.json", json.dumps({"text": "xy", "entities": ENTITIES[:1], "relations": RELATIONS}).encode()
    return "t.json", json.dumps({"text": "xy", "entities": ENTITIES}).encode()


def files(format: str, kind: str) -> Iterator[tuple[str, bytes]]:
    if format == "dir":
        yield from ((f"{n}/1.txt", b"x") for n in range(MANY))
    elif kind == "objects":
        categories = [{"id": n, "name": f"k{n}"} for n in range(MANY)]
        boxes = [{"id": n, "image_id": 1, "category_id": n, "bbox": [1, 1, 5, 5]} for n in range(MANY)]
        yield from (("c.json", coco(categories=categories, annotations=boxes)), ("1.png", PNG), ("2.png", PNG))
    elif format == "brat_ann":
        yield from brat("".join(f"T{n}\tk{n} 0 1\t张\n" for n in range(MANY)).encode()).items()
    else:
        yield annotated(kind)


CASES = [
    ("dir", "text/classification", "classes", f"{MOST_CLASSES}"),
    ("json", "image/detection", "objects", "c.json"),
    ("json", "text/entity", "entities", "t.json"),
    ("json", "text/relation", "relations", "t.json"),
    ("brat_ann", "text/entity", "entities", "a.ann"),
]


@pytest.mark.row("D2")
@pytest.mark.parametrize(("format", "purpose", "kind", "told"), CASES)
def test_more_classes_than_there_can_be(format: str, purpose: str, kind: str, told: str) -> None:
    report = Report()
    checker = get_format(format).checker(purpose, report, ContentLimits())
    for path, data in files(format, kind):
        checker.whole(path, data)
    summary = checker.finish()
    assert [(f.code, f.file) for f in report.faults if f.code == "too_many_classes"] == [("too_many_classes", told)]
    assert len(summary[kind]) == MOST_CLASSES
    assert len(summary["classes"]) <= MOST_CLASSES
