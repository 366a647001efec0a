"""How samples are noted that lie in one file line after line, or in a list: either side of a split is a right file
again."""

from __future__ import annotations

from io import BytesIO

import pytest

from common.ports.staging import Split
from common.staging.rows import RowSides
from common.staging.splits import TEST, TRAIN
from dataset_svc.formats import ContentLimits, get_format
from dataset_svc.formats.port import Checker
from dataset_svc.formats.samples import Samples
from dataset_svc.importing.report import Report

_TEXTS = [f'{{"text": "猫 }}],{n}", "entities": [{{"start": 0, "end": 1, "label": "k{n % 2}"}}]}}' for n in range(30)]
_TOKENS = "\n\n".join(f"词{n}\tB-{'地点' if n % 3 else '人名'}\n尾\tO" for n in range(30))

FILES = {
    "a table": (
        "single_text",
        "text/classification",
        "a.csv",
        "text,label\n" + "".join(f"你好{n},{'猫狗'[n % 2]}\n" for n in range(40)),
    ),
    "no header": ("single_text", "text/classification", "a.tsv", "".join(f"t{n}\tc{n % 2}\n" for n in range(40))),
    "cells of several lines": (
        "single_text",
        "text/classification",
        "a.csv",
        "label,text\n\n" + "".join(f'c{n % 2},"line\nand ""line""\n {n}"\n\n' for n in range(30)),
    ),
    "json lines": (
        "single_text",
        "text/classification",
        "a.jsonl",
        "\n".join(f'{{"text": "t{n}", "label": "c{n % 2}"}}' for n in range(31)),
    ),
    "tokens": (
        "single_text",
        "text/entity",
        "a.conll",
        f"-DOCSTART- O\n\n{_TOKENS}\n\n\n-DOCSTART- O\n\n{_TOKENS.replace('词', '句')}",
    ),
    "entities in json lines": (
        "json",
        "text/entity",
        "deep/a.jsonl",
        "".join(
            f'{{"text": "cat {n}", "entities": [{{"start": 0, "end": 3, "label": "k{n % 2}"}}]}}\n' for n in range(30)
        ),
    ),
    "a list in one line": ("json", "text/entity", "a.json", f"[{','.join(_TEXTS)}]"),
    "a list that is laid out": ("json", "text/entity", "a.json", "\r\n [\n  " + "\t,\n  ".join(_TEXTS) + "\n ]\n"),
}


def checked(format: str, purpose: str, path: str, data: bytes) -> Checker:
    """A checker that has read that file, which is right."""
    report = Report()
    checker = get_format(format).checker(purpose, report, ContentLimits(min_classes=1))
    checker.whole(path, data)
    report.summary = checker.finish()
    assert report.ok, report.as_json()
    return checker


@pytest.mark.row("D1", "D8")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("name", FILES)
def test_either_side_of_a_split_is_a_right_file_and_together_they_have_all(name: str, encoding: str) -> None:
    format, purpose, path, text = FILES[name]
    data = text.encode(encoding)
    whole = checked(format, purpose, path, data)
    rows = whole.samples()[path].noted()
    sides = {TRAIN: BytesIO(), TEST: BytesIO()}
    known = RowSides(Split(0.7))
    known.learn(rows, BytesIO(data))
    kept = known.cut(rows, BytesIO(data), sides)
    parts = {side: checked(format, purpose, path, out.getvalue()) for side, out in sides.items()}
    summaries = [one.finish() for one in (whole, *parts.values())]
    assert summaries[0]["rows"] == summaries[1]["rows"] + summaries[2]["rows"] == len(rows.starts)
    counted = {label: sum(part["classes"].get(label, 0) for part in summaries[1:]) for label in summaries[0]["classes"]}
    assert counted == summaries[0]["classes"]
    assert all(set(part["classes"]) == set(counted) for part in summaries[1:])
    for side, part in parts.items():
        again = part.samples()[path].noted()
        assert (again.starts, [set(again.classes(n)) for n in range(len(again.starts))]) == (
            kept[side].starts,
            [set(kept[side].classes(n)) for n in range(len(kept[side].starts))],
        )


def test_of_several_classes_the_rarest_comes_first() -> None:
    lines = [
        f'{{"text": "a b", "entities": [{e}]}}' for e in ("", *[_entity("k")] * 3, f"{_entity('k')}, {_entity('r')}")
    ]
    rows = checked("json", "text/entity", "a.jsonl", "\n".join(lines).encode()).samples()["a.jsonl"].noted()
    assert [rows.classes(number) for number in range(5)] == [[], ["k"], ["k"], ["k"], ["r", "k"]]


def _entity(label: str) -> str:
    return f'{{"start": 0, "end": 1, "label": "{label}"}}'


@pytest.mark.parametrize(
    ("format", "purpose", "files"),
    [
        ("dir", "text/classification", {"a/1.txt": b"x", "b/1.txt": b"y"}),
        ("brat_ann", "text/entity", {"a.txt": b"cat", "a.ann": b"T1\tk 0 3\tcat\n"}),
        ("json", "text/entity", {"a.json": b'{"text": "cat", "entities": [{"start": 0, "end": 3, "label": "k"}]}'}),
        ("json", "text/entity", {"a.json": b"[]"}),
    ],
)
def test_where_each_file_is_a_sample_nothing_is_noted(format: str, purpose: str, files: dict[str, bytes]) -> None:
    checker = get_format(format).checker(purpose, Report(), ContentLimits())
    for path, data in files.items():
        checker.whole(path, data)
    checker.finish()
    assert not checker.samples()


def test_what_heads_a_document_is_its_own() -> None:
    one, two = "a\tB-k\n\n", "-DOCSTART- O\n\nb\tB-k\n"
    samples = [checked("single_text", "text/entity", "a.conll", text.encode()).samples() for text in (one, one + two)]
    assert [list(found["a.conll"].noted().starts) for found in samples] == [[1], [1, 3]]


def test_of_ever_more_sets_of_classes_only_the_rarest_class_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_svc.formats.samples.MOST_KINDS", 2)
    samples = Samples()
    for classes in (("a",), ("a", "b"), ("a", "c"), ("a", "b"), ("c", "b", "a")):
        samples.add(1, classes)
    rows = samples.noted()
    assert [rows.classes(number) for number in range(5)] == [["a"], ["b", "a"], ["c"], ["b", "a"], ["c"]]
