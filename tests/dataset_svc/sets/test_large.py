"""Sets of more files than memory should hold: what is kept of each, and that nobody waits while they are sorted."""

from __future__ import annotations

import hashlib
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from common.manifests import Entry
from dataset_svc.reconcile.pile import Pile
from dataset_svc.reconcile.records import Shuffle, batches
from tests.dataset_svc.conftest import Desk, pictures
from tests.dataset_svc.test_formatted_sets import order, ready

SHA = hashlib.sha256(b"").hexdigest()


def entry(number: int) -> Entry:
    return Entry(f"cat/{number:07}.png", number % 5000, SHA[number % 10 :] + SHA[: number % 10], 0, number)


def test_of_a_pile_only_places_are_in_memory(tmp_path: Path) -> None:
    tracemalloc.start()
    with Pile(tmp_path / "deep" / "pile", Entry.line, Entry.parse) as pile:
        pile.extend(entry(number) for number in range(50_000))
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert kept < 50_000 * 16 + (2 << 20), "as entries they would be 17 MB"
        assert (len(pile), pile[0], pile[49_999]) == (50_000, entry(0), entry(49_999))
        pile.add(entry(7))
        assert pile[50_000] == entry(7)
        assert sum(1 for _ in pile) == 50_001
    assert not list((tmp_path / "deep").iterdir())


def test_the_order_is_that_of_whole_digests() -> None:
    """As it was when each was kept whole: sets that were built before are built again the same."""
    names = [f"cat/{number}.png" for number in range(3000)]
    by_digest = sorted(names, key=lambda name: hashlib.sha256(f"order\0{7}\0{name}".encode()).digest())
    shuffle = Shuffle(7)
    for name in names:
        shuffle.add(name)
    assert [names[number] for number in shuffle.order()] == by_digest


def test_files_are_read_some_at_a_time() -> None:
    small = [Entry(f"{number}.png", 1000, SHA, 0, 0) for number in range(130)]
    large = Entry("large.png", 100 << 20, SHA, 0, 0)
    assert [len(batch) for batch in batches(small)] == [64, 64, 2]
    assert [len(batch) for batch in batches([small[0], large, small[1]])] == [1, 1, 1]
    assert not list(batches([]))


@pytest.mark.parametrize("format", ["parquet", "raw"])
async def test_files_are_chosen_and_sorted_beside_the_loop(
    alice: Desk, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, seen = threading.get_ident(), set[int]()
    taken, sorting = Pile.__getitem__, Shuffle.order

    def watched(what: Any) -> Any:
        def call(*arguments: Any) -> Any:
            seen.add(threading.get_ident())
            return what(*arguments)

        return call

    monkeypatch.setattr(Pile, "__getitem__", watched(taken))
    monkeypatch.setattr(Shuffle, "order", watched(sorting))
    await ready(alice, await order(alice, await alice.filled(pictures(cats=10, dogs=5)), format, ratio=0.8))
    assert seen
    assert here not in seen
