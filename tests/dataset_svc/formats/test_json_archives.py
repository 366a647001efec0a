"""Annotation files beside images: what is told of them does not depend on their size, and only what is so is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dataset_svc.formats.known.json.held import MOST, Held
from dataset_svc.importing import Report
from dataset_svc.importing.report import KEPT
from tests.dataset_svc.corpus.annotations import DETECT, Case
from tests.dataset_svc.corpus.good import PNG, Files, annotation, coco, labelme, shape
from tests.dataset_svc.corpus.test_annotations import check, told

LABEL = "image/classification"


def dumped(content: Any) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()


def both(purpose: str, files: Files) -> tuple[Report, Report]:
    """The reports of the same archive, its annotations held and streamed."""
    case = Case("", purpose, files, [])
    held, streamed = (check("json", case, step=50, whole_bytes=limit)[0] for limit in (1 << 20, 0))
    return held, streamed


UNLISTED = ("unlisted_image", "a.png", None)
NO_OBJECTS = ("no_objects", "", None)


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("labels.json", dumped([{"image": "a.png"}]), ("bad_label", "labels.json", None)),
        ("labels.json", b"[]", None),
        ("a.json", dumped({"label": 3}), ("bad_label", "a.json", None)),
        ("m.jsonl", dumped({"image": "a.png"}), ("bad_label", "m.jsonl", 1)),
        ("m.jsonl", b"", None),
    ],
)
def test_an_annotation_file_with_a_fault_is_one(file: str, content: bytes, fault: Any) -> None:
    for report in both(LABEL, {file: content, "a.png": PNG}):
        assert told(report, "error") == [*([fault] if fault else []), NO_OBJECTS]
        assert told(report, "warning") == [UNLISTED]


@pytest.mark.parametrize(
    "content", [b"\0", b"x" * (9 << 20), b'{"a": "\xff\xff"}\n'], ids=["binary", "long", "not text"]
)
@pytest.mark.parametrize("step", [None, 1 << 20])
def test_of_json_lines_that_cannot_be_read_no_image_is_missed(content: bytes, step: int | None) -> None:
    files = {"m.jsonl": dumped({"image": "a.png", "label": "k"}) + b"\n" + content, "a.png": PNG, "b.png": PNG}
    report, _ = check("json", Case("", LABEL, files, []), step)
    assert [fault.file for fault in report.faults if fault.code != "too_few_classes"] == ["m.jsonl"]


def test_what_could_be_added_is_told_for_the_purpose() -> None:
    reasons = {purpose: both(purpose, {"a.png": PNG})[0].faults[0].reason for purpose in (DETECT, LABEL)}
    assert "LabelMe's .json beside each image" in reasons[DETECT]
    assert "list or JSON lines" in reasons[LABEL]


SHAPES = {"shapes": [shape()], "flags": {"猫": True, "x": True}, "imagePath": "a.png", "images": [1], "annotations": 7}
UNLIKE_COCO = {
    "categories of another program": (DETECT, {"categories": ["a", "b"], "data": {"x": 1}}),
    "LabelMe with a list of images": (DETECT, json.loads(labelme(images=["x", 3], imagePath="a.png"))),
    "labels with a list of categories": (LABEL, {"label": "k", "categories": [1]}),
    "LabelMe with a list of images, and flags": (LABEL, SHAPES),
    "LabelMe with images behind shapes": (LABEL, {**SHAPES, "shapes": {}, "images": [{}]}),
    "no object": (LABEL, 3),
    "nothing": (LABEL, None),
}


@pytest.mark.parametrize("name", UNLIKE_COCO)
def test_what_is_not_cocos_is_not_held_to_be_whatever_its_size(name: str) -> None:
    purpose, content = UNLIKE_COCO[name]
    held, streamed = both(purpose, {"a.json": dumped(content), "a.png": PNG})
    assert streamed.as_json() == held.as_json()
    assert {fault.code for fault in held.faults} <= {
        *("other_file", "no_annotations"),
        *("bad_row", "too_few_classes", "unlisted_image", "no_objects"),
    }


@pytest.mark.parametrize("more", [b"", b", 1]"], ids=["right", "broken"])
def test_what_is_cocos_is_told_of_alike(more: bytes) -> None:
    content = coco(annotations=[annotation(), annotation(id=2, category_id=9), "x"], images=[1]) + more
    held, streamed = both(DETECT, {"a.json": content, "a.png": PNG})
    assert [(fault.code, fault.file) for fault in streamed.faults] == [(f.code, f.file) for f in held.faults]
    assert held.errors == streamed.errors > 0
    assert not more or held.errors == 1


def test_of_many_faults_a_report_shows_as_many_as_it_can_and_counts_the_others() -> None:
    assert MOST >= KEPT
    content = coco(annotations=[{"id": number} for number in range(3 * KEPT)])
    held, streamed = both(DETECT, {"a.json": content, "a.png": PNG})
    assert streamed.as_json() == held.as_json()
    assert held.errors > 3 * KEPT
    assert all(fault.reason.startswith("annotations[") for fault in held.faults)


def test_of_faults_that_may_not_hold_only_so_many_are_kept() -> None:
    report, told_at_once = Report(), Report()
    held = Held(report)
    for number in range(3 * MOST):
        for sink in (held, told_at_once):
            sink.warning("w", "a.json", f"Warning {number}.")
            sink.error("e", "a.json", f"Error {number}.")
    assert len(held._kept) == 2 * MOST
    assert len(held._more) == 2
    assert not report.faults
    held.pass_on()
    held.error("e", "a.json", "Another.")
    told_at_once.error("e", "a.json", "Another.")
    assert report.as_json() == told_at_once.as_json()
