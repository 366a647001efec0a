"""Values of interface inputs."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.interfaces import INPUT_TYPES, typed


@pytest.mark.row("A3", "S10")
@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("String", "足球", "足球"),
        ("String", 5, "5"),
        ("Integer", "-3", -3),
        ("Integer", 7, 7),
        ("Number", "1.5", 1.5),
        ("Number", 2, 2),
        ("Boolean", "True", True),
        ("Boolean", False, False),
        ("Object", '{"a": 1}', {"a": 1}),
        ("Array", [1], [1]),
        ("File", "aGk=", b"hi"),
    ],
)
def test_values(kind: str, value: Any, expected: Any) -> None:
    assert typed(kind, value) == expected
    assert kind in INPUT_TYPES


@pytest.mark.row("A3", "S10")
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("String", ["a"]),
        ("Integer", "1.5"),
        ("Integer", True),
        ("Integer", None),
        ("Number", "nan"),
        ("Number", "inf"),
        ("Number", "1e999"),
        ("Number", 10**400),
        ("Boolean", "yes"),
        ("Boolean", 1),
        ("Object", "[]"),
        ("Array", "{"),
        ("File", "%%%"),
        ("File", 5),
    ],
)
def test_no_values(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        typed(kind, value)


@given(st.binary(max_size=100))
def test_a_file_comes_back_from_base64(content: bytes) -> None:
    assert typed("File", base64.b64encode(content).decode()) == content
