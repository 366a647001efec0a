"""Annotation files that were damaged anywhere are told of: no reader of theirs ends otherwise, or loses a byte."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.importing import Report
from tests.dataset_svc.corpus.annotations import Case
from tests.dataset_svc.corpus.good import Files, brat, coco, labelme, with_coco, with_labelme
from tests.dataset_svc.corpus.marked import BIO, PLAIN, images, lines, text
from tests.dataset_svc.corpus.mutants import MUTANTS
from tests.dataset_svc.corpus.test_annotations import check, told

GOOD: dict[str, tuple[str, str, Files]] = {
    "coco": ("json", "image/segmentation", with_coco(coco())),
    "labelme": ("json", "image/detection", with_labelme(labelme())),
    "labels": ("json", "image/classification", images()),
    "labels of coco": ("json", "image/classification", with_coco(coco(annotations=PLAIN))),
    "texts": ("json", "text/relation", {"t.jsonl": lines(text(), text())}),
    "tokens": ("single_text", "text/entity", {"t.bio": BIO.encode()}),
    "rows": ("single_text", "text/classification", {"t.csv": "text,label\n好,a\n坏,b\n".encode()}),
    "brat": ("brat_ann", "text/relation", brat()),
}
OF_THE_WHOLE = ("no_objects", "no_annotations", "no_entities", "no_relations", "too_few_classes")
"""What only the archive as a whole can be told of."""
PIECES = st.binary(max_size=4) | st.sampled_from(
    [b'"', b"{", b"[", b"}", b"null", b"-1", b"1e400", b"\xff\xfe", b"\0", b"\\ud800", b"\t", b"\n", b"9" * 400, b"0.5"]
)


@pytest.mark.row("D2")
@pytest.mark.parametrize("name", GOOD)
@settings(max_examples=60)
@given(data=st.data())
def test_damage_is_told(name: str, data: st.DataObject) -> None:
    format, purpose, files = GOOD[name]
    report = Report()
    checker = get_format(format).checker(
        purpose, report, ContentLimits(whole_bytes=data.draw(st.sampled_from([10, 1 << 20])))
    )
    for path, content in files.items():
        if not path.endswith(".png"):
            at = data.draw(st.integers(0, len(content)))
            gone = data.draw(st.integers(0, 6))
            content = content[:at] + data.draw(PIECES) + content[at + gone :]
        step = data.draw(st.sampled_from([3, 1 << 20]))
        pieces = (content[place : place + step] for place in range(0, len(content), step))
        assert b"".join(checker.stream(path, len(content), pieces)) == content
    report.summary = checker.finish()
    report.as_json()
    for _, found, labels in checker.annotations():
        assert isinstance(found, bytes)
        assert all(isinstance(label, str) for label in labels)


def test_what_is_damaged_here_was_right() -> None:
    for format, purpose, files in GOOD.values():
        assert told(check(format, Case("", purpose, files, []))[0], "error") == []


@pytest.mark.row("D2")
@pytest.mark.parametrize("name", MUTANTS)
@settings(max_examples=300)
@given(data=st.data())
def test_values_of_another_kind_are_told(name: str, data: st.DataObject) -> None:
    format, purpose, mutants = MUTANTS[name]
    files = data.draw(mutants)
    for step, whole_bytes in ((None, 1 << 20), (5, 0 if format == "json" else 1 << 20)):
        report, _ = check(format, Case("", purpose, files, []), step, whole_bytes)
        assert json.loads(json.dumps(report.as_json())) == report.as_json()
        for fault in report.faults:
            assert fault.file in files or (fault.file == "" and fault.code in OF_THE_WHOLE), fault
