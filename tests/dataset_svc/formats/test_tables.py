"""Tables of texts and classes are read alike when they are imported and when a formatted set is made of them."""

from __future__ import annotations

import csv

import pytest

from common.kernel.errors import Problem
from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.formats.known.single_text.tables import Sample, Tables
from dataset_svc.formats.labels import TEXT_NAMES
from dataset_svc.formats.marked import Reader
from dataset_svc.formats.port import RowReader
from tests.dataset_svc.formats.sinks import Heard

TEXTS = "text/classification"


def reader() -> RowReader:
    found = get_format("single_text").recorded(TEXTS).rows
    assert found is not None
    return found


def test_samples_come_with_their_lines() -> None:
    heard = Heard()
    lines = ["\n", "label,text\n", 'a,"one\n', 'two"\n', "\n", "a,b,c\n", " b , three\n"]
    assert list(Tables("t.csv", heard).samples(iter(lines))) == [Sample(3, "one\ntwo", "a"), Sample(7, " three", " b ")]
    assert heard.errors == [("wrong_columns", "t.csv")]


def test_a_table_is_read_again_whatever_limit_others_have_set_to_its_cells() -> None:
    text = "x" * 200_000
    before = csv.field_size_limit(1_000)
    try:
        assert [row.text for row in reader()("t.tsv", iter([f"{text}\ta\n", f"{text}\tb\n"]))] == [text, text]
    finally:
        csv.field_size_limit(before)


def test_what_is_no_table_any_more_is_told_as_such() -> None:
    rows = reader()("t.csv", iter(["text,label\n", "a,b,c\n"]))
    with pytest.raises(Problem, match=r"t\.csv, line 2 is not what was imported"):
        list(rows)
    assert list(reader()("readme.md", iter(["a,b\n"]))) == []


@pytest.mark.row("D2")
@pytest.mark.parametrize("name", TEXT_NAMES)
def test_a_text_is_called_alike_in_tables_and_in_texts_with_entities(name: str) -> None:
    heard = Heard()
    checker = get_format("single_text").checker(TEXTS, heard, ContentLimits())
    checker.whole("t.csv", f"label,{name}\na,one\nb,two\n".encode())
    assert checker.finish()["classes"] == {"a": 1, "b": 1}
    found = Reader(heard).read("t.jsonl", 1, {name: "one", "entities": []})
    assert found is not None
    assert (found.text, heard.errors) == ("one", [])
