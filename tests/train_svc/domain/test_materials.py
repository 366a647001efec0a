"""What is told of files to train and to validate on: what they share, and what one side has alone (row D9)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.dataset import DatasetSnapshot, DatasetVersion, FormattedSetFacts
from common.contracts.shared import ManifestRef, Visibility
from common.ports.staging import Split
from common.staging import split as split_paths
from train_svc.domain.materials import Cut, Material, SplitRequest, material_notes

PATHS = [f"{label}/{n}" for label in ("cat", "dog") for n in range(12)]


def ref(digest: str) -> ManifestRef:
    return ManifestRef(address=f"{digest}/index", digest=digest, files=8, bytes=80)


def dataset(name: str = "pets", digest: str = "d", classes: tuple[str, ...] = ("cat", "dog")) -> DatasetSnapshot:
    version = DatasetVersion(id="dsv-1", number=1, digest=digest, train=ref(digest), test=ref("t"), classes=classes)
    return DatasetSnapshot(
        id=f"ds-{name}",
        name=name,
        owner="alice",
        visibility=Visibility.PRIVATE,
        purpose="image/classification",
        annotation="class",
        format="dir",
        test_mode="ratio",
        online=True,
        version=version,
    )


def formatted(side: str = "train", ratio: float | None = 0.8, seed: int = 0, **fields: Any) -> Material:
    of = fields.pop("of", dataset())
    facts: dict[str, Any] = {
        "id": f"set-{side}",
        "name": side,
        "owner": "alice",
        "format": "raw",
        "dataset_id": of.id,
        "dataset_version": 1,
        "dataset_digest": of.version.digest,
        "share": 0.8 if side == "train" else 0.2,
        "manifest": ref(f"{side}{ratio}{seed}"),
        "classes": of.version.classes,
        "side": side,
        "ratio": ratio,
        "seed": seed,
        **fields,
    }
    return Material(of, FormattedSetFacts(**facts))


WHOLE = Material(dataset())
MOST, REST = formatted(), formatted("held_out")


@pytest.mark.row("D9")
@pytest.mark.parametrize(
    ("data", "split", "validation", "said"),
    [
        (MOST, None, REST, None),
        (WHOLE, SplitRequest(0.8), REST, None),
        (WHOLE, None, Material(dataset("other", "e")), None),
        (WHOLE, None, Material(dataset(), part="test"), "of different versions or parts"),
        (WHOLE, None, WHOLE, "the very files"),
        (WHOLE, None, Material(dataset("copy")), "the very files"),
        (MOST, None, MOST, "the very files"),
        (WHOLE, SplitRequest(0.8), WHOLE, "has all the files that it trains on"),
        (MOST, None, WHOLE, "has all the files that it trains on"),
        (WHOLE, None, REST, "It trains on the files of the set 'held_out' too"),
        (MOST, None, formatted("held_out", seed=1), "not by the same cut"),
        (MOST, None, Material(dataset(digest="later")), "of different versions or parts"),
    ],
)
def test_the_same_files_on_both_sides_are_told(
    data: Material, split: SplitRequest | None, validation: Material, said: str | None
) -> None:
    notes = material_notes(data, split, validation)
    assert len(notes) == (said is not None), notes
    assert said is None or said in notes[0]


cuts = st.builds(
    Cut, st.just("d"), st.sampled_from(["train", "held_out"]), st.sampled_from([0.5, 0.8]), st.integers(0, 2)
) | st.just(Cut("d"))


def files(cut: Cut) -> set[str]:
    if cut.ratio is None:
        return set(PATHS)
    train, held_out = split_paths(PATHS, Split(cut.ratio, cut.seed))
    return set(train if cut.side == "train" else held_out)


@pytest.mark.row("D9")
@given(cuts, cuts)
def test_what_is_said_of_cuts_holds_for_their_files(one: Cut, other: Cut) -> None:
    if one.excludes(other):
        assert not files(one) & files(other)
    if one.covers(other):
        assert files(one) >= files(other)


@pytest.mark.row("D9")
def test_classes_and_formats_that_differ_are_told() -> None:
    strangers = Material(dataset("wild", "w", ("cat", *(f"w{n}" for n in range(7)))))
    strange, lacking = material_notes(WHOLE, None, strangers)
    assert "'w0', 'w1', 'w2', 'w3', 'w4' and 2 more" in strange
    assert "'dog'" in lacking
    records = formatted(of=dataset("wild", "w", ("cat", "dog", "fox")), format="lmdb")
    notes = " ".join(material_notes(MOST, None, records))
    assert "same label means another class" in notes
    assert "'dir'" in notes
    assert "'lmdb'" in notes


@pytest.mark.row("D9")
def test_files_that_were_counted_on_both_sides_are_told() -> None:
    elsewhere = Material(dataset("other", "e"))
    (told,) = material_notes(WHOLE, None, elsewhere, shared=3)
    assert told.startswith("3 of the 8 files")
    assert material_notes(WHOLE, None, elsewhere, shared=0) == ()
    assert material_notes(WHOLE, None, Material(dataset(digest="later")), shared=0) == ()
    assert "the very files" in material_notes(WHOLE, None, WHOLE, shared=None)[0]


@pytest.mark.row("D9")
def test_who_chooses_most_of_a_dataset_is_offered_the_rest() -> None:
    (made,) = material_notes(formatted(complement_id="set-rest"), None, None)
    assert "20 % of it" in made
    assert "set-rest" in made
    (offered,) = material_notes(MOST, None, None)
    assert "can be made" in offered
    assert material_notes(formatted("all", None), None, None) == material_notes(WHOLE, None, None) == ()
