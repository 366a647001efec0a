"""What is no JSON is told in the same words, and with the right place, in a line of many as in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dataset_svc.formats.decoding import Lines, NotText
from dataset_svc.formats.parsing import parsed
from dataset_svc.formats.passing import objects, passing
from dataset_svc.importing import Report
from dataset_svc.importing.report import ReportFault

WRONG = {
    '{"a" 1}': "This is no JSON: Expecting ':' delimiter (column 6).",
    '{"a"': "This is no JSON: Expecting ':' delimiter (column 5).",
    '{"a": 1': "This is no JSON: Expecting ',' delimiter (column 8).",
    '{"a": ' + "9" * 5000 + "}": "This is no JSON that can be read: it is nested too deep, or has huge numbers.",
    "[" * 100_000: "This is no JSON that can be read: it is nested too deep, or has huge numbers.",
}


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=repr)
@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong[:9])
def test_a_line_that_is_no_json(wrong: str, end: str) -> None:
    report = Report()
    assert list(objects("t.jsonl", report, iter(["{}\n", wrong + end]))) == [(1, {})]
    assert report.faults == [ReportFault("error", "bad_json", "t.jsonl", WRONG[wrong], 2)]
    with pytest.raises(NotText) as told:
        parsed(wrong)
    assert told.value.reason == WRONG[wrong]


@pytest.mark.parametrize(("last", "right"), [(b"{\n", True), (b"\0\n", False)])
def test_whether_all_could_be_read_is_told(last: bytes, right: bool) -> None:
    report = Report()
    content = [b"{}\n", last, json.dumps({"a": 1}).encode()]
    told: list[bool] = []

    def passes() -> Iterator[bytes]:
        told.append((yield from passing(iter(content), "t.jsonl", report, Lines(), rows, lambda row: None)))

    def rows(text: Iterator[str]) -> Iterator[tuple[int, Any]]:
        return objects("t.jsonl", report, text)

    assert list(passes()) == content
    assert told == [right]
    assert report.errors == 1
