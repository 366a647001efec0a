"""Which import is begun when, and how imports end."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.kernel.errors import Conflict
from dataset_svc.domain.imports import Import, ImportState, due
from dataset_svc.domain.taxonomy import Part

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def one(number: int, dataset: str = "ds-1", state: ImportState = ImportState.QUEUED) -> Import:
    key = f"imp-{number:03d}"
    return Import(key, "a.zip", "alice", dataset, Part.TRAIN, "up-1", "k", 9, "alice", NOW, NOW, state)


@pytest.mark.row("D2")
@given(
    datasets=st.lists(st.sampled_from(["ds-1", "ds-2", "ds-3"]), max_size=8),
    running=st.sets(st.integers(0, 7)),
    in_hands=st.sets(st.integers(0, 7)),
    failed=st.sets(st.integers(0, 7)),
    at_once=st.integers(1, 4),
)
def test_one_at_a_time_of_each_dataset_and_the_oldest_first(datasets, running, in_hands, failed, at_once):
    states = {True: ImportState.RUNNING, False: ImportState.QUEUED}
    items = [one(number, dataset, states[number in running]) for number, dataset in enumerate(datasets)]
    at_work = {item.id for number, item in enumerate(items) if number in in_hands and number in running}
    resting = {item.id for number, item in enumerate(items) if number in failed - in_hands}
    chosen = due(items, at_work, resting, at_once)
    busy = [item.dataset_id for item in items if item.id in at_work | resting]
    assert len({item.dataset_id for item in chosen}) == len(chosen)
    assert not {item.dataset_id for item in chosen} & set(busy)
    assert len(chosen) <= max(0, at_once - len(at_work))
    rank = {item.id: (item.state != ImportState.RUNNING, item.id) for item in items}
    for item in chosen:
        rivals = [other for other in items if other.dataset_id == item.dataset_id]
        assert rank[item.id] == min(rank[other.id] for other in rivals)
    if len(at_work) + len(chosen) < at_once:
        assert {item.dataset_id for item in items} == {item.dataset_id for item in chosen} | set(busy)


@pytest.mark.row("D2")
def test_how_imports_end():
    running = one(1).begun(NOW)
    assert running.begun(NOW) == running, "begun again after a kill"
    assert running.succeeded(NOW, {}, 1, unchanged=False).state == ImportState.SUCCEEDED
    assert running.failed(NOW, "no_image", "cat/1.png: …", {}).state == ImportState.FAILED
    for active in (one(1), running):
        assert active.cancelled(NOW).state == ImportState.CANCELLED
    for final in (ImportState.SUCCEEDED, ImportState.FAILED, ImportState.CANCELLED):
        ended = replace(running, state=final)
        assert not ended.active
        for verb in (ended.begun, ended.cancelled):
            with pytest.raises(Conflict):
                verb(NOW)
