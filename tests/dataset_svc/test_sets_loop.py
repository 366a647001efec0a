"""The loop of formatted sets, where building one fails in a way that nobody foresaw."""

from __future__ import annotations

from typing import Any

import pytest

from common.kernel.errors import Unavailable
from common.kernel.pauses import Pauses
from dataset_svc.reconcile import building, resting, sets
from tests.dataset_svc.conftest import Desk, pictures
from tests.dataset_svc.test_formatted_sets import order, ready


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
    await ready(alice, await order(alice, dataset, "tfrecord"))
