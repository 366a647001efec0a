"""Spreads are told in bounded memory, and what is told agrees with what was added."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_svc.formats import together
from dataset_svc.formats.ranges import Range, buckets
from dataset_svc.formats.together import Together

VALUES = st.lists(st.integers(0, 1 << 40) | st.integers(0, 300), min_size=1, max_size=60)


def spread(values: list[int]) -> Range:
    found = Range()
    for value in values:
        found.add(value)
    return found


@pytest.mark.row("D5")
@given(VALUES)
def test_every_value_is_in_one_bucket_and_the_median_is_right(values: list[int]) -> None:
    told = spread(values).as_json()
    assert (told["min"], told["max"]) == (min(values), max(values))
    assert told["median"] == statistics.median_low(values)
    for bucket in told["histogram"]:
        assert bucket["count"] == sum(bucket["from"] <= value <= bucket["to"] for value in values)
    assert sum(bucket["count"] for bucket in told["histogram"]) == len(values)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_buckets_follow_one_another_and_hold_all(one: int, other: int) -> None:
    least, most = sorted((one, other))
    limits = buckets(least, most)
    assert limits == sorted(set(limits))
    assert limits[0] <= least
    assert limits[-1] > most
    assert len(limits) <= 42


@pytest.mark.row("D5")
def test_a_hundred_thousand_lengths_are_kept_in_a_few_thousand_numbers() -> None:
    found = spread([number * 7 for number in range(100_000)])
    assert len(found._counts) < 8_000
    told = found.as_json()
    assert (told["min"], told["max"]) == (0, 699_993)
    assert told["median"] == pytest.approx(350_000, rel=0.01)
    assert sum(bucket["count"] for bucket in told["histogram"]) == 100_000


def test_nothing_has_no_spread() -> None:
    assert Range().as_json() == {}


@pytest.mark.row("D5")
def test_the_commonest_pairs_are_told_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_KEPT", 100)
    seen = Together()
    for number in range(300):
        seen.add({"cat", "dog", f"rare {number}"})
        seen.add({f"alone {number}"})
    told = seen.as_json()
    assert told[0] == {"classes": ["cat", "dog"], "files": 300}
    assert len(told) == together.SHOWN
