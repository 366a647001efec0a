"""Where a text of tokens ends, and how large it may be."""

from __future__ import annotations

from io import BytesIO

import pytest

from common.staging.rows import pieces
from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.formats.known.single_text import tokens
from dataset_svc.formats.known.single_text.tokens import Text, Tokens
from dataset_svc.importing import Report

MOST = 5


def read(content: str) -> tuple[list[Text], list[tuple[str, int | None]]]:
    """The texts, and the code and line of each fault."""
    report = Report()
    texts = list(Tokens("t.bio", report).texts(iter(content.splitlines(keepends=True))))
    return texts, [(fault.code, fault.line) for fault in report.faults]


@pytest.mark.row("D2")
@pytest.mark.parametrize("end", ["", "\n", "\n\nJohn\tB-k\n", "-DOCSTART- O\n", "-DOCSTART- O\n\nJohn\tB-k\n"])
def test_a_text_may_have_as_many_tokens_as_there_may_be(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_LONGEST", MOST)
    texts, faults = read("a\tO\n" * MOST + end)
    assert faults == []
    assert [text.marked.text for text in texts] == ["a a a a a", *["John"] * ("John" in end)]


@pytest.mark.row("D2")
def test_one_token_more_is_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_LONGEST", MOST)
    assert read("b\tO\n\n" + "a\tO\n" * (MOST + 1))[1] == [("text_too_large", 3)]


@pytest.mark.row("D2")
@pytest.mark.parametrize("end", ["", "\n", "\nJohn\tB-k\n", "-DOCSTART- O\n", "b\tO\n"])
def test_a_text_is_too_long_by_its_last_token_too(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_LONGEST_TEXT", 10)
    assert read(f"a\tO\n{'x' * 9}\tO\n" + end)[1] == [("text_too_large", 1)]
    assert read(f"a\tO\n{'x' * 8}\tO\n\n" + end)[1] == []


GLUED = "John B-Per\n-DOCSTART- -X- O\n\nMary I-Per\n\nPaul B-Per\n-DOCSTART- -X- O\n-DOCSTART- -X- O\n\nAnn B-Per\n"


def test_a_document_that_begins_ends_the_text_before_it() -> None:
    texts, faults = read(GLUED)
    assert [text.marked.text for text in texts] == ["John", "Mary", "Paul", "Ann"]
    marked = [[entity["text"] for entity in text.marked.entities] for text in texts]
    assert marked == [["John"], ["Mary"], ["Paul"], ["Ann"]]
    assert [(text.line, text.begins) for text in texts] == [(1, 1), (4, 4), (6, 6), (10, 8)]
    assert faults == [("loose_tag", 4)]


@pytest.mark.row("D1", "D8")
def test_texts_that_only_a_document_parted_stay_apart_beside_others() -> None:
    content = GLUED.encode()
    format = get_format("single_text")
    checker = format.checker("text/entity", Report(), ContentLimits())
    checker.whole("t.bio", content)
    _, john, _, paul, ann = pieces(BytesIO(content), checker.samples()["t.bio"].noted())
    reader = format.recorded("text/entity").rows
    assert reader is not None
    rows = reader("t.bio", iter((john + paul + ann).decode().splitlines(keepends=True)))
    assert [row.text for row in rows] == ["John", "Paul", "Ann"]
