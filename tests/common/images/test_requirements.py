"""The rules of requirements, Python versions and digests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.images.requirements import check_requirements, engine_digest, python_fits
from common.kernel.errors import Invalid
from common.ports.images import EngineSpec

GOOD = (
    "numpy", "numpy==2.0.1", "scikit-learn>=1.5,<2", "torch[cuda, dev]~=2.4", "a.b_c-d", "x===1.0+local", "x!=1.*",
    "uvloop; sys_platform != 'win32'", 'y>=1; python_version < "3.13" and os_name == "posix"', "z >= 1 , < 2",
)  # fmt: skip


@pytest.mark.parametrize("requirement", GOOD)
def test_names_with_versions_are_accepted(requirement):
    check_requirements((requirement,))


@given(st.text(max_size=40))
def test_nothing_accepted_is_an_option_an_address_or_a_path(text):
    try:
        check_requirements((text,))
    except Invalid:
        return
    assert text[0].isalnum()
    assert not set("/\\@:\n\0") & set(text)


def test_too_many_are_refused():
    with pytest.raises(Invalid):
        check_requirements(("a",) * 501)


@given(st.permutations(GOOD))
def test_the_digest_knows_no_order_and_no_name(order):
    assert engine_digest(EngineSpec("a", tuple(order))) == engine_digest(EngineSpec("b", GOOD))


def test_the_digest_is_that_of_the_content():
    digests = [
        engine_digest(EngineSpec("a", ("x",))),
        engine_digest(EngineSpec("a", ("x", "y"))),
        engine_digest(EngineSpec("a", ("x",), python="3.12")),
    ]
    assert len(set(digests)) == 3
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (">=3.11", True), ("", True), ("3.11", True), ("3.12", False), ("==3.11.*", True), ("==3.11.7", True),
        ("==3.11", False), (">=3.11,<3.12", True),
        (">=3.12", False), ("~=3.10", True), ("~=3.11.2", True), ("~=3.12.0", False),
        ("!=3.11.*", False),
        ("!=3.11.6", True), ("<=3.11.7", True), (">3.11.7", False), ("<3", False),
    ],
)  # fmt: skip
def test_python_versions(wanted, fits):
    assert python_fits((3, 11, 7), wanted) is fits


@pytest.mark.parametrize("wanted", ["python3", ">=3.x", "3.11; rm", "/usr/bin/python", "pypy"])
def test_what_is_no_python_version_is_refused(wanted):
    with pytest.raises(Invalid) as caught:
        python_fits((3, 11, 7), wanted)
    assert caught.value.code == "bad_requirement"
