"""The loop of formatted sets, where building one fails in a way that nobody foresaw."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.kernel.errors import Unavailable
from common.kernel.pauses import Pauses
from dataset_svc import service
from dataset_svc.reconcile import building, resting, sets
from dataset_svc.reconcile.records import FileRecords
from dataset_svc.reconcile.scratch import Scratch
from dataset_svc.sets.parquet import Parquet
from tests.dataset_svc.conftest import Desk, Open, Place, pictures
from tests.dataset_svc.test_formatted_sets import order, ready
from tests.support.platform import House, running


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pauses, "begin", lambda *_: None)


@pytest.mark.row("D9")
async def test_it_is_tried_some_times_and_then_told(alice: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    async def broken(*told: Any) -> Any:
        tries.append(told)
        raise LookupError("a fault of ours")

    monkeypatch.setattr(sets, "build", broken)
    dataset = await alice.filled(pictures())
    failed = await ready(alice, await order(alice, dataset, "tfrecord"), "failed")
    assert failed["code"] == "internal"
    assert "its log tells more" in failed["reason"]
    assert len(tries) == resting.TRIES


@pytest.mark.row("D9")
async def test_what_the_platform_lacks_for_a_while_is_waited_for(alice: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tries, real = [], building.build

    async def away(*told: Any) -> Any:
        tries.append(told)
        if len(tries) <= 2 * resting.TRIES:
            raise Unavailable("files_unavailable", "The file store does not answer.")
        return await real(*told)

    monkeypatch.setattr(sets, "build", away)
    dataset = await alice.filled(pictures())
    done = await ready(alice, await order(alice, dataset, "tfrecord"))
    assert done["reason"] == ""


@pytest.mark.row("D9")
async def test_its_owner_sees_for_what_it_waits(alice: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    async def away(*told: Any) -> Any:
        tries.append(told)
        raise Unavailable("files_unavailable", "The file store does not answer.")

    monkeypatch.setattr(sets, "build", away)
    monkeypatch.setattr(Pauses, "over", lambda pauses, one: not tries)
    item = await order(alice, await alice.filled(pictures()), "tfrecord")
    async with asyncio.timeout(60):
        while not (found := await alice.ok("GET", f"/formatted-sets/{item['id']}"))["reason"]:
            await asyncio.sleep(0.01)
    assert (found["state"], found["reason"]) == ("building", "The file store does not answer.")


@pytest.mark.row("D9")
async def test_the_next_try_begins_when_the_folder_of_the_last_one_is_gone(
    alice: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found as a set that failed for good, as its folder was there still."""
    real, there = building.build, []

    async def once_in_vain(context: Any, item: Any, folder: Path, tell: Any) -> Any:
        there.append(folder.exists())
        if len(there) == 1:
            (folder / "made").mkdir(parents=True)
            raise Unavailable("files_unavailable", "The file store does not answer.")
        return await real(context, item, folder, tell)

    def slowly(folder: Path, **how: Any) -> None:
        time.sleep(0.3)  # as long as the loop takes to come round again, and more
        shutil.rmtree(folder, **how)

    monkeypatch.setattr(sets, "build", once_in_vain)
    monkeypatch.setattr(sets, "shutil", SimpleNamespace(rmtree=slowly))
    dataset = await alice.filled(pictures())
    await ready(alice, await order(alice, dataset, "tfrecord"))
    assert there == [False, False]


@pytest.mark.row("D9")
async def test_a_service_that_stops_while_it_writes_a_set_writes_it_when_it_is_back(
    open_place: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found as a set that failed for good, as its half a file could not be closed."""
    writing = asyncio.Event()

    async def endlessly(*_: Any) -> bytes:
        writing.set()
        await asyncio.Event().wait()
        return b""

    def half_a_file(_: Any) -> None:
        raise OSError("Only 0 out of 3 columns are initialized")

    with monkeypatch.context() as while_it_runs:
        async with open_place() as place:
            alice = place.desk()
            dataset = await alice.filled(pictures())
            while_it_runs.setattr(FileRecords, "_content", endlessly)
            while_it_runs.setattr(Parquet, "close", half_a_file)
            item = await order(alice, dataset, "parquet")
            await asyncio.wait_for(writing.wait(), 60)
    async with open_place() as place:
        await ready(place.desk(), item)


def process(home: Path, name: str) -> AbstractAsyncContextManager[House]:
    """A dataset-svc that is called so: each process is called otherwise."""
    return running(home, [lambda platform: service.build(replace(platform, instance=name))])


@pytest.mark.row("D9")
async def test_what_a_killed_one_left_is_swept_and_what_one_that_lives_works_at_is_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, worked_at = building.build, []

    async def noted(context: Any, item: Any, folder: Path, tell: Any) -> Any:
        worked_at.append(folder)
        return await real(context, item, folder, tell)

    monkeypatch.setattr(sets, "build", noted)
    async with process(home, "first") as house:
        alice = Place(house).desk()
        dataset = await alice.filled(pictures())
        await ready(alice, await order(alice, dataset, "tfrecord"))
    root = worked_at[0].parent.parent
    assert list(root.iterdir()) == [], "who ends well leaves nothing"
    stale = Scratch(root, "stale")
    stale.open()
    (root / "killed" / "set-1.7" / "made").mkdir(parents=True)
    (stale.folder / "set-1.8").mkdir()
    async with process(home, "second") as house:
        alice = Place(house).desk()
        await ready(alice, await order(alice, dataset, "tfrecord"))
        assert {path.name for path in root.iterdir()} == {"stale", "second"}
        assert (stale.folder / "set-1.8").exists(), "it may write there until it notices that it lost its lease"
    stale.close()
