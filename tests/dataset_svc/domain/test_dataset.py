"""What a dataset may do in which state, and how versions come to be."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.shared import ManifestRef, Visibility
from common.kernel.errors import Conflict
from dataset_svc.domain import dataset as datasets
from dataset_svc.domain import imports, uploads
from dataset_svc.domain.dataset import Dataset, DatasetState
from dataset_svc.domain.taxonomy import Part, TestMode
from dataset_svc.domain.versions import Content, Version

NOW = datetime(2026, 11, 21, tzinfo=UTC)
README = Path(__file__).parents[3] / "services" / "dataset-svc" / "README.md"


def fresh(mode: TestMode = TestMode.RATIO) -> Dataset:
    return Dataset("ds-1", "n", "alice", "image/classification", "class", "dir", mode, NOW, NOW)


def content(letter: str, import_id: str = "imp-1") -> Content:
    digest = f"sha256:{letter * 64}"
    return Content(
        import_id, ManifestRef(address=f"{letter}/index", digest=digest, files=2, bytes=9), {"a": 1, letter: 1}
    )


def filled() -> Dataset:
    return fresh().taking(Part.TRAIN, content("b"), "dv-1", NOW)


@pytest.mark.parametrize("table", [datasets.TRANSITIONS, imports.TRANSITIONS, uploads.TRANSITIONS])
def test_the_readme_draws_the_table(table):
    assert f"```mermaid\n{table.mermaid()}\n```" in README.read_text()


@pytest.mark.row("D6")
def test_only_a_dataset_with_a_version_goes_online():
    with pytest.raises(Conflict, match="import its train set first") as refused:
        fresh().put_online()
    assert refused.value.code == "dataset_empty"
    with pytest.raises(Conflict, match="import its train and test set first"):
        fresh(TestMode.INDEPENDENT).put_online()
    online = filled().put_online()
    assert online.online
    assert online.taken_offline() == filled()
    for verb in (online.put_online, filled().taken_offline):
        with pytest.raises(Conflict) as refused:
            verb()
        assert refused.value.code == "illegal_state"


@pytest.mark.row("D4")
def test_only_an_offline_dataset_is_deleted():
    with pytest.raises(Conflict) as refused:
        filled().put_online().buried()
    assert refused.value.code == "dataset_online"
    for dataset in (fresh(), filled()):
        gone = dataset.buried()
        assert gone.deleted
        assert gone.current == dataset.current
        with pytest.raises(Conflict):
            gone.taking(Part.TRAIN, content("c"), "dv-2", NOW)


@pytest.mark.row("D7")
@pytest.mark.parametrize("state", DatasetState)
@pytest.mark.parametrize("visibility", Visibility)
def test_it_is_shared_only_online_and_not_private(state, visibility):
    dataset = replace(filled(), state=state, visibility=visibility)
    assert dataset.shared == (state == "online" and visibility != "private")


@pytest.mark.row("D3")
def test_what_it_is_for_changes_only_before_the_first_import():
    changes = {"purpose": "text/classification", "name": "other"}
    assert fresh().edited(False, **changes).purpose == "text/classification"
    for dataset, importing in ((filled(), False), (fresh(), True)):
        with pytest.raises(Conflict) as refused:
            dataset.edited(importing, **changes)
        assert refused.value.code == "dataset_not_empty"
        assert dataset.edited(importing, name="other", purpose=dataset.purpose).name == "other"
    half = fresh(TestMode.INDEPENDENT).taking(Part.TRAIN, content("b"), "dv-1", NOW)
    with pytest.raises(Conflict):
        half.edited(False, test_mode=TestMode.RATIO)


@pytest.mark.row("D2", "D12")
def test_an_independent_test_set_needs_both_parts():
    half = fresh(TestMode.INDEPENDENT).taking(Part.TEST, content("t"), "dv-1", NOW)
    assert (half.state, half.current, half.missing_parts()) == (DatasetState.EMPTY, None, (Part.TRAIN,))
    whole = half.taking(Part.TRAIN, content("b"), "dv-1", NOW)
    assert whole.current is not None
    assert (whole.current.number, whole.current.train, whole.current.test) == (1, content("b"), content("t"))
    assert whole.current.digest not in (content("b").digest, content("t").digest)
    assert whole.current.classes() == {"a": 2, "b": 1, "t": 1}
    assert whole.current.fact().classes == ("a", "b", "t")
    later = whole.taking(Part.TRAIN, content("c"), "dv-2", NOW)
    assert later.current is not None
    assert (later.current.number, later.current.test) == (2, content("t"))


@pytest.mark.row("D12")
@given(
    mode=st.sampled_from(TestMode),
    taken=st.lists(st.tuples(st.sampled_from(Part), st.sampled_from("bcd")), max_size=12),
)
def test_versions_count_changes_of_content(mode, taken):
    """Whatever is imported in whatever order: numbers go up by one, only with the digest, and what was made stays."""
    dataset = fresh(mode)
    seen: list[Version] = []
    for number, (part, letter) in enumerate(taken):
        if part == Part.TEST and mode == TestMode.RATIO:
            continue
        after = dataset.taking(part, content(letter, f"imp-{number}"), f"dv-{number}", NOW)
        if after.current != dataset.current:
            assert after.current is not None
            assert after.current.number == len(seen) + 1
            assert not seen or seen[-1].digest != after.current.digest
            seen.append(after.current)
        else:
            assert after.missing_parts() or after.parts[part].digest == dataset.parts[part].digest
        assert after.snapshot().version == (seen[-1].fact() if seen else None)
        assert (after.state == DatasetState.READY) == bool(seen)
        dataset = after
