"""Lists in JSON are walked once, and each element has the byte at which it begins."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.formats.decoding import NotText
from dataset_svc.formats.known.json.elements import elements, is_list
from dataset_svc.formats.parsing import parsed
from dataset_svc.importing import Report
from tests.dataset_svc.corpus.marked import text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(VALUES, max_size=5), st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]), st.sampled_from([None, 2]))
def test_each_element_and_where_it_begins(values: list[Any], encoding: str, indent: int | None) -> None:
    said = " \n" + json.dumps(values, ensure_ascii=False, indent=indent) + "\t\r\n"
    data = said.encode(encoding)
    found = list(elements(data, said, encoding.removesuffix("-sig")))
    assert is_list(said)
    assert [value for value, _ in found] == values
    for value, begins in found:
        behind = data[begins:].decode(encoding.removesuffix("-sig"))
        assert json.JSONDecoder().raw_decode(behind)[0] == value


@pytest.mark.parametrize(
    "broken",
    [
        *("[", "[,1]", "[1,]", "[1 2]", "[1,,2]", "[1]\n x", "[]x", "[1", '[1,\n ["a', "[{]", "[1}"),
        *("[[1], 9" + "9" * 5000, "[" * 100_000),
    ],
    ids=lambda broken: broken[:9],
)
def test_what_is_wrong_is_told_with_its_place(broken: str) -> None:
    with pytest.raises(NotText) as expected:
        parsed(broken)
    with pytest.raises(NotText) as told:
        list(elements(broken.encode(), broken, "utf-8"))
    assert (told.value.code, told.value.reason, told.value.line) == ("bad_json", *of(expected.value))


def of(fault: NotText) -> tuple[str, int | None]:
    return fault.reason, fault.line


def test_a_list_of_texts_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Any] = []

    class Decoder(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            decoded.append(idx)
            return super().raw_decode(s, idx)

    monkeypatch.setattr("json.JSONDecoder.decode", None)
    monkeypatch.setattr("dataset_svc.formats.known.json.elements._DECODER", Decoder())
    monkeypatch.setattr("json.loads", None)
    content = json.dumps([text(), text()]).encode()
    checker = get_format("json").checker("text/entity", Report(), ContentLimits())
    checker.whole("t.json", content)
    assert len(decoded) == 2
    assert checker.finish()["rows"] == 2


def test_what_is_wrong_before_a_list_breaks_is_told_too() -> None:
    report = Report()
    checker = get_format("json").checker("text/entity", report, ContentLimits())
    checker.whole("t.json", json.dumps([text(), 3]).encode()[:-1] + b"\n, {]")
    assert [(fault.code, fault.line) for fault in report.faults] == [("bad_row", None), ("bad_json", 2)]
