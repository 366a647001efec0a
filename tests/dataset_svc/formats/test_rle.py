"""COCO's compressed masks are read as pycocotools writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_svc.formats.known.json.rle import BadMask, check, runs_of


def packed(runs: list[int]) -> str:
    """As maskApi.c's rleToString does it."""
    out = ""
    for number, run in enumerate(runs):
        value = run - runs[number - 2] if number > 2 else run
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            out += chr((bits | 0x20 if more else bits) + 48)
    return out


@given(st.lists(st.integers(0, 1 << 40), max_size=30))
def test_there_and_back(runs: list[int]) -> None:
    assert runs_of(packed(runs)) == runs


def test_the_example_of_cocos_own_demo() -> None:
    assert check({"size": [9, 10], "counts": packed([10, 3, 77])}) == (9, 10, 3)
    assert check({"size": [2, 2], "counts": "13"}) == (2, 2, 3)


@given(st.text(max_size=40))
def test_noise_is_refused_and_nothing_else(text: str) -> None:
    try:
        assert all(run >= 0 for run in runs_of(text))
    except BadMask:
        return


def test_what_is_no_mask() -> None:
    wrong: list[object] = [None, 7, [1.5], [True, False], {}, [-1]]
    for counts in wrong:
        with pytest.raises(BadMask):
            runs_of(counts)
