"""Every broken annotation file gets exactly the report that it should, and right ones none."""

import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.importing import Report
from dataset_svc.looking import rowpages
from tests.dataset_svc.corpus.annotations import BRAT, COCO, LABELME, SINGLE, Case
from tests.dataset_svc.corpus.encoded import CHINESE, MARKED
from tests.dataset_svc.corpus.good import annotation, boxes, labelme, with_labelme
from tests.dataset_svc.corpus.marked import LABELLED, TEXTS, TOKENS
from tests.dataset_svc.corpus.odd import ODD

CASES = [
    *(("json", case) for case in (*COCO, *LABELME, *MARKED, *CHINESE)),
    *(("single_text", case) for case in SINGLE),
    *(("brat_ann", case) for case in BRAT),
    *(("json", case) for case in (*LABELLED, *TEXTS)),
    *(("single_text", case) for case in TOKENS),
    *ODD,
]


NOTICED_ELSEWHERE = (
    "json nested a hundred thousand deep",
    "binary",
    "half a character as a category",
    "a number instead of an object",
    "a width that no image has, and no image",
)
"""What a reader that looks at one entry after the other sees in another way, or reads as harmless question marks."""


def check(
    format: str, case: Case, step: int | None = None, whole_bytes: int = 1 << 20
) -> tuple[Report, dict[str, Any]]:
    """The report and what is annotated; `step`: every file comes in pieces of that many bytes."""
    report = Report()
    checker = get_format(format).checker(case.purpose, report, ContentLimits(whole_bytes=whole_bytes))
    for path, data in case.files.items():
        if step is None:
            checker.whole(path, data)
        else:
            pieces = (data[at : at + step] for at in range(0, len(data), step))
            assert b"".join(checker.stream(path, len(data), pieces)) == data
    report.summary = checker.finish()
    json.dumps(report.as_json()).encode()
    return report, {path: json.loads(drawn) for path, drawn, _ in checker.annotations()}


def rows_of(format: str, case: Case) -> list[dict[str, Any]]:
    """The samples of the one file, as pages show them: read from it again, each with the line that was noted."""
    [(path, data)] = case.files.items()
    checker = get_format(format).checker(case.purpose, Report(), ContentLimits())
    checker.whole(path, data)
    lines = checker.samples()[path].noted().starts
    reader = get_format(format).recorded(case.purpose).rows
    assert reader is not None
    rows = reader(path, StringIO(data.decode(), newline="\n"))
    return [rowpages._shown(line, row) for line, row in zip(lines, rows, strict=True)]


def told(report: Report, severity: str) -> list[Any]:
    return sorted(
        ((fault.code, fault.file, fault.line) for fault in report.faults if fault.severity == severity), key=repr
    )


@pytest.mark.row("D2")
@pytest.mark.parametrize(("format", "case"), CASES, ids=[f"{format}: {case.name}" for format, case in CASES])
def test_the_report_is_the_expected_one(format: str, case: Case) -> None:
    for step in (None, 7):
        report, _ = check(format, case, step)
        assert told(report, "error") == sorted(case.errors, key=repr), report.faults
        assert told(report, "warning") == sorted(case.warnings, key=repr), report.faults
        assert all(fault.reason.endswith((".", "…")) for fault in report.faults)


@pytest.mark.parametrize(
    "case",
    [*COCO, *MARKED, *(case for _, case in ODD if "annotations/instances.json" in case.files)],
    ids=lambda case: case.name,
)
def test_a_coco_file_that_is_too_large_to_be_held_gets_the_same_report(case: Case) -> None:
    report, _ = check("json", case, step=50, whole_bytes=10)
    codes = {code for code, _, _ in told(report, "error")}
    expected = {code for code, _, _ in case.errors}
    if "bad_json" in codes or case.name in NOTICED_ELSEWHERE:
        assert bool(codes) == bool(case.errors and case.name != "half a character as a category")
    else:
        assert codes == expected


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in (*LABELME, *LABELLED, *MARKED, *(case for _, case in ODD if "a/1.json" in case.files))
        if case.name not in NOTICED_ELSEWHERE
    ],
    ids=lambda case: case.name,
)
def test_other_json_that_is_too_large_to_be_held_gets_the_same_report(case: Case) -> None:
    whole, streamed = (check("json", case, step=50, whole_bytes=limit)[0] for limit in (1 << 20, 0))
    assert [(f.severity, f.code, f.file) for f in streamed.faults] == [
        (f.severity, f.code, f.file) for f in whole.faults
    ]
    assert streamed.summary == whole.summary


@pytest.mark.parametrize("step", [1, 50, 10_000])
@pytest.mark.parametrize("case", CHINESE, ids=lambda case: case.name)
def test_json_that_is_too_large_to_be_held_must_be_utf_8(case: Case, step: int) -> None:
    [fault] = check("json", case, step, whole_bytes=10)[0].faults
    assert (fault.code, fault.file) == ("not_text", next(iter(case.files)))
    assert fault.reason.endswith("Save it as UTF-8.")


@pytest.mark.parametrize("step", [1, 50, 10_000])
@pytest.mark.parametrize("content", [b"\xef\xbb{}", b"\xef\xbb\xbf\xef\xbb\xbf{}", b'{"a": ?}', '{"训练": ?}'.encode()])
def test_what_is_no_json_is_told_in_one_sentence(content: bytes, step: int) -> None:
    report, _ = check("json", Case("", "image/detection", {"a/1.json": content}, []), step, whole_bytes=0)
    [reason] = [fault.reason for fault in report.faults]
    assert re.search(r"\w\.$", reason)
    assert not re.search(r"[\\\n]|b'", reason)


def test_a_labelme_file_with_its_image_in_it_is_read_without_that() -> None:
    case = Case("", "image/detection", with_labelme(labelme(imageData="A" * 300_000)), [])
    report, found = check("json", case, step=50_000, whole_bytes=1 << 17)
    assert report.faults == []
    assert [one["class"] for one in found["a/1.png"]["objects"]] == ["猫"]


def test_the_corpus_is_large_enough() -> None:
    assert sum(bool(case.errors) for _, case in CASES) >= 60
    assert len({case.name for _, case in CASES}) >= 100


@pytest.mark.row("D5")
def test_what_is_annotated_comes_out_as_data() -> None:
    assert check("json", COCO[0])[1]["images/1.png"] == {
        "kind": "objects",
        "width": 20,
        "height": 10,
        "objects": [{"id": "1", "class": "猫", "box": [1, 1, 5, 5], "polygons": [[1, 1, 6, 1, 6, 6]]}],
    }
    assert check("json", LABELME[0])[1]["a/1.png"]["objects"][0]["class"] == "猫"
    found = check("brat_ann", BRAT[2])[1]["a.txt"]
    assert found["entities"][2] == {"id": "T3", "class": "Word", "spans": [[0, 1], [3, 5]], "text": "张 在了"}
    assert found["relations"] == [{"id": "R1", "class": "LivesIn", "from": "T1", "to": "T2"}]
    assert found["attributes"][1] == {"id": "M1", "class": "Confidence", "of": "E1", "value": "High"}
    assert rows_of("single_text", SINGLE[4]) == [
        {"line": 2, "text": "一\n二", "class": "好评"},
        {"line": 4, "text": '说"不"', "class": "差评"},
    ]


@pytest.mark.row("D5")
@pytest.mark.parametrize("case", LABELLED[:5], ids=lambda case: case.name)
def test_images_with_classes_come_out_alike(case: Case) -> None:
    report, found = check("json", case)
    assert all(set(drawn) == {"kind", "width", "height", "labels"} for drawn in found.values())
    assert len(found) == sum(report.summary["classes"].values()) - report.summary["together"].__len__()
    assert report.summary["unannotated"] == 0


@pytest.mark.row("D5")
def test_entities_come_out_with_their_places() -> None:
    _, found = check("json", TEXTS[0])
    assert found["t.jsonl"]["total"] == 2
    assert rows_of("json", TEXTS[0])[1] == {
        "line": 2,
        "text": "张三住在北京。",
        "entities": [
            {"id": "1", "class": "Person", "spans": [[0, 2]], "text": "张三"},
            {"id": "2", "class": "Place", "spans": [[4, 6]], "text": "北京"},
        ],
        "relations": [{"id": "1", "class": "LivesIn", "from": "1", "to": "2"}],
    }
    report, _ = check("single_text", TOKENS[0])
    chinese, english = rows_of("single_text", TOKENS[0])
    assert (chinese["line"], chinese["text"], chinese["entities"][1]["spans"]) == (1, "张三住在北京", [[4, 6]])
    assert (english["line"], english["text"], english["entities"][0]["text"]) == (8, "John Smith sleeps", "John Smith")
    assert report.summary["entities"] == {"Person": 2, "Place": 1}
    assert report.summary["rows"] == 2
    [bmes] = rows_of("single_text", TOKENS[1])
    assert [entity["text"] for entity in bmes["entities"]] == ["张三", "李"]


@pytest.mark.row("D5")
def test_the_figures() -> None:
    assert check("json", COCO[0])[0].summary["classes"] == {"dog": 1, "猫": 1}
    assert check("brat_ann", BRAT[0])[0].summary["entities"] == {"Person": 1, "Place": 1}
    summary = check("single_text", SINGLE[1])[0].summary
    assert summary["classes"] == {"好评": 1, "差评": 1}
    assert summary["texts"]["encodings"] == {"gb18030": 1}
    length = {"min": 2, "max": 2, "mean": 2.0, "median": 2, "histogram": [{"from": 2, "to": 2, "count": 2}]}
    assert summary["texts"]["length"] == length


@pytest.mark.row("D5")
def test_what_occurs_together() -> None:
    drawn = [annotation(), annotation(id=2, category_id=2)]
    summary = check("json", Case("", "image/detection", boxes(*drawn), []))[0].summary
    assert summary["together"] == [{"classes": ["dog", "猫"], "files": 1}]
    assert summary["unannotated"] == 1
    assert summary["images"]["common"] == [{"width": 20, "height": 10, "files": 2}]
    summary = check("brat_ann", BRAT[0])[0].summary
    assert summary["together"] == [{"classes": ["Person", "Place"], "files": 1}]
    assert summary["related"] == [{"from": "Person", "class": "LivesIn", "to": "Place", "count": 1}]
    assert summary["unannotated"] == 0


def test_texts_and_annotations_far_apart_are_not_all_held() -> None:
    report = Report()
    checker = get_format("brat_ann").checker("text/entity", report, ContentLimits(waiting_bytes=100))
    for number in range(30):
        checker.whole(f"{number}.txt", b"0123456789")
    assert {fault.code for fault in report.faults} == {"too_scattered"}


def test_adding_a_format_touches_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataset_svc.formats import format_names, formats_for, known, purposes

    (tmp_path / "voice.py").write_text(
        "class Voice:\n    name, purposes = 'voice', ('audio/speech',)\nFORMAT = Voice()\n"
    )
    monkeypatch.setattr(known, "__path__", [*known.__path__, str(tmp_path)])
    format_names.cache_clear()
    try:
        assert "voice" in format_names()
        assert formats_for("audio/speech") == ("voice",)
        assert purposes()["voice"] == ("audio/speech",)
    finally:
        format_names.cache_clear()
