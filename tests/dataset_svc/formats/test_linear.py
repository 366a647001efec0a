"""Work that grows with what is read, and not with its square: operations are counted, not time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.formats.decoding import Lines
from dataset_svc.formats.known.brat_ann.standoff import Standoff
from dataset_svc.formats.known.json.coco import CocoFile
from dataset_svc.formats.known.single_text.tokens import Tokens
from dataset_svc.formats.labels import Classes
from dataset_svc.formats.marked import Reader
from dataset_svc.importing import Report
from dataset_svc.importing.report import KEPT

MANY = 2_000


class Counted(str):
    """Text that counts how often it is looked at: compared, or hashed."""

    looks = 0

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        Counted.looks += 1
        return str.__hash__(self)

    def __str__(self) -> str:
        return self


@pytest.fixture(autouse=True)
def _none_yet() -> None:
    Counted.looks = 0


def test_categories_are_looked_up() -> None:
    file = CocoFile("c.json", Report(), masks=False, outlines=False)
    for number in range(MANY):
        file.take("categories", number, {"id": number, "name": Counted(f"class {number}")})
    assert Counted.looks < 10 * MANY


def test_entities_are_looked_up() -> None:
    entities = [{"id": Counted(f"e{n}"), "start": n, "end": n + 1, "label": "k"} for n in range(MANY)]
    relations = [{"from": Counted(f"e{n}"), "to": Counted(f"e{n - 1}"), "type": "r"} for n in range(MANY)]
    found = Reader(Report()).read("t.json", 1, {"text": "x" * MANY, "entities": entities, "relations": relations})
    assert found is not None
    assert len(found.relations) == MANY - 1
    assert Counted.looks < 20 * MANY


def test_a_span_is_compared_only_as_far_as_the_text_beside_it_reaches() -> None:
    class Flat(str):
        taken = 0

        def __getitem__(self, place: Any) -> str:
            piece = str.__getitem__(self, place)
            Flat.taken += len(piece)
            return piece

    parser = Standoff("x" * 1_000_000, lambda *_: None)
    parser._flat = Flat("x" * 1_000_000)
    parser.parse("".join(f"T{n}\tk 0 1000000\txx\n" for n in range(100)))
    assert Flat.taken < 1_000_000


def test_a_long_line_is_joined_once() -> None:
    class Piece(bytes):
        joined = 0

        def __radd__(self, other: bytes) -> bytes:
            Piece.joined += len(other)
            return bytes(other) + bytes(self)

    [line] = Lines().of(Piece(b"x" * 10) for _ in range(MANY))
    assert len(line) == 10 * MANY
    assert Piece.joined == 0


def test_the_longest_text_of_tokens_ends() -> None:
    report = Report()
    lines = (f"{'x' * 1_000_000}\tB-k\n" for _ in range(9))
    assert [len(text.marked.entities) for text in Tokens("t.bio", report).texts(lines)] == [5, 4]
    assert [fault.code for fault in report.faults] == ["text_too_large"]


def test_classes_beyond_those_that_there_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Counter[str]):
        names = 0

        def __iter__(self) -> Iterator[str]:
            for name in super().__iter__():
                Seen.names += 1
                yield name

    monkeypatch.setattr("dataset_svc.formats.labels.Counter", Seen)
    monkeypatch.setattr("dataset_svc.formats.labels.MOST_CLASSES", 10)
    report = Report()
    classes = Classes(report)
    for number in range(MANY):
        classes.add([f"k{number}", "k0", "k0"], f"{number}.txt")
    assert Seen.names < 3 * MANY
    assert classes.files() == {"k0": MANY, **{f"k{number}": 1 for number in range(1, 10)}}
    assert classes.times() == {"k0": 2 * MANY + 1, **{f"k{number}": 1 for number in range(1, 10)}}
    assert [(fault.code, fault.file) for fault in report.faults] == [("too_many_classes", "10.txt")]


def test_many_warnings_and_errors() -> None:
    class Faults(list[Any]):
        looks = 0

        def __getitem__(self, place: Any) -> Any:
            Faults.looks += 1
            return super().__getitem__(place)

    report = Report(faults=Faults())
    report.warning("w", "a", "x.")
    for _ in range(10 * KEPT):
        report.error("e", "a", "x.")
    assert [fault.severity for fault in report.faults] == ["error"] * KEPT
    assert Faults.looks < 3 * KEPT


FOR_NOTHING = {
    "empty lines in a table": ("single_text", "text/classification", "t.csv", b"\n"),
    "broken rows": ("single_text", "text/classification", "t.csv", b'"x"y,z\n'),
    "a row of many lines": ("single_text", "text/classification", "t.csv", b'"\n",'),
    "lines that are no JSON": ("json", "text/entity", "t.jsonl", b"{\n"),
    "documents without texts": ("single_text", "text/entity", "t.bio", b"-DOCSTART-\n"),
    "a value that nobody wants": ("json", "image/detection", "c.json", b"[1],"),
    "a long text": ("json", "image/detection", "c.json", b"abcdefgh"),
    "an entry that doesn't end": ("json", "image/detection", "c.json", b"[1],"),
}
BEGINS = {
    "a value that nobody wants": b'{"x": [',
    "a long text": b'{"imageData": "',
    "an entry that doesn't end": b'{"images": [{"id": [',
}


@pytest.mark.parametrize("name", FOR_NOTHING)
def test_what_says_nothing_passes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of it there is, only so much is held."""
    monkeypatch.setattr("dataset_svc.formats.passing._LONGEST_WAIT", 1 << 17)
    for limit in ("_LONGEST_ENTRY", "_LONGEST_VALUE"):
        monkeypatch.setattr(f"dataset_svc.formats.known.json.reading.{limit}", 1 << 17)
    format, purpose, path, piece = FOR_NOTHING[name]
    held = 0
    most = 0

    def chunks() -> Iterator[bytes]:
        nonlocal held, most
        yield BEGINS.get(name, b"")
        for _ in range(80):
            held += 1
            most = max(most, held)
            yield piece * ((1 << 14) // len(piece))

    checker = get_format(format).checker(purpose, Report(), ContentLimits(whole_bytes=10))
    for _ in checker.stream(path, 80 << 14, chunks()):
        held = max(0, held - 1)
    assert most <= 12
