"""Samples of a file are found by their number and class as by reading all of it (row D5)."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.kernel.errors import Problem
from common.staging.samples import Rows
from dataset_svc.formats import Row
from dataset_svc.looking import rows as looking_rows
from dataset_svc.looking.rows import RowIndex, write_rows

KNOWN = [["a"], ["b"], ["b", "a"], []]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "index"


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def nobody_reads(lines: Iterator[str]) -> Iterator[Row]:
    raise AssertionError("all classes were noted")


@pytest.mark.row("D5")
@settings(max_examples=60)
@given(
    heights=st.lists(st.integers(1, 3), max_size=40),
    kinds=st.lists(st.sampled_from(range(4)), min_size=40, max_size=40),
    head=st.integers(0, 2),
    piece=st.integers(1, 50),
    first=st.integers(0, 45),
    most=st.integers(1, 20),
    label=st.sampled_from(["a", "b", "c", None]),
)
async def test_what_is_found_is_what_is_there(
    path: Path, heights: list[int], kinds: list[int], head: int, piece: int, first: int, most: int, label: str | None
) -> None:
    samples = [f"{number}é\n".encode() * height for number, height in enumerate(heights)]
    content = b"head\n" * head + b"".join(samples)
    starts = [head + 1 + sum(heights[:number]) for number in range(len(heights))]
    rows = Rows(array("I", starts), array("I", kinds[: len(heights)]), KNOWN)
    await write_rows(rows, pieces(content, piece), len(content), nobody_reads, path)
    index = RowIndex(path.open("rb"))
    expected = [n for n in range(len(heights)) if label is None or label in KNOWN[kinds[n]]]
    assert index.total(label) == len(expected)
    found = index.numbers(label, first, most)
    assert found == [number for number in expected if number >= first][:most]
    for number in found:
        start, end = index.span(number)
        assert (content[start:end], index.line(number)) == (samples[number], starts[number])
    index.close()


@pytest.mark.row("D5")
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
async def test_where_not_all_classes_were_noted_they_are_read_once_more(
    path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what has too many kinds of classes only the rarest one was noted, and each of them is to be found."""
    monkeypatch.setattr(looking_rows, "MOST_KINDS", 2)
    sets = [("甲",), ("乙", "甲"), ("乙", "丙", "甲"), ("丙",)]
    content = "".join(f"{' '.join(names)}\n" for names in sets).encode(encoding)
    rows = Rows(array("I", [1, 2, 3, 4]), array("I", [0, 1, 2, 2]), [["甲"], ["乙", "甲"], ["丙"]])

    def read(lines: Iterator[str]) -> Iterator[Row]:
        return (Row(line, tuple(line.split()), b"") for line in lines)

    await write_rows(rows, pieces(content, 5), len(content), read, path)
    index = RowIndex(path.open("rb"))
    for name in ("甲", "乙", "丙", "丁"):
        assert index.numbers(name, 0, 9) == [number for number, names in enumerate(sets) if name in names]
    index.close()
    with pytest.raises(ValueError, match="zip"):
        await write_rows(rows, pieces(content, 5), len(content), lambda lines: islice(read(lines), 3), path)
    assert sorted(found.name for found in path.parent.iterdir()) == [path.name]


async def test_a_file_that_became_shorter_is_told(path: Path) -> None:
    rows = Rows(array("I", [1, 2, 9]), array("I", [0, 0, 0]), KNOWN)
    with pytest.raises(Problem, match="Import it again") as raised:
        await write_rows(rows, pieces(b"a\nb\n", 3), 4, nobody_reads, path)
    assert raised.value.code == "file_corrupt"
