"""Names, descriptions and amounts of memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kernel.errors import Fault, Invalid
from common.kernel.names import description_faults, name_faults, raise_faults
from common.kernel.quantities import parse_bytes


@pytest.mark.row("T10")
@pytest.mark.parametrize("name", ["digits", "手写数字", "a" * 100, "名称 with spaces", "ÀÉ", "🙂"])
def test_free_text_is_a_name(name: str) -> None:
    assert name_faults(name) == []


@pytest.mark.row("T10")
@pytest.mark.parametrize("name", ["", "   ", "a" * 101, "a\nb", "a\x00b", "\x7f", "a\u2028b", "\ud800"])
def test_what_is_no_name(name: str) -> None:
    assert name_faults(name)


@pytest.mark.row("T10")
def test_descriptions() -> None:
    assert description_faults("字" * 255) == description_faults("two\nlines\tand a tab") == []
    assert description_faults("字" * 256)
    assert description_faults("bell\x07")


def test_all_faults_are_raised_at_once() -> None:
    raise_faults("dataset", [])
    with pytest.raises(Invalid) as raised:
        raise_faults("dataset", [Fault("a", "x."), Fault("b", "y.")])
    assert raised.value.code == "invalid_dataset"
    assert len(raised.value.faults) == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512Mi", 512 << 20), ("2Gi", 2 << 30), ("1.5G", 1_500_000_000), ("7", 7), (0, 0), ("1kB", 1000)],
)
def test_amounts(text: str | int, expected: int) -> None:
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "lots", "-1", -1, "1Xi", "Mi", True, "1e9", "٣"])
def test_no_amounts(text: str | int) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_bytes(text)


@given(st.integers(min_value=0, max_value=2**40))
def test_an_integer_is_bytes(count: int) -> None:
    assert parse_bytes(count) == count
