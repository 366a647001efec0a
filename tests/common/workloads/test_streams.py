"""A workload that reads what still arrives: it goes on arriving whoever steps, and ends where it can't (issue 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.contracts.job import EndReason
from common.kernel.errors import Problem, StorageFull
from common.workloads.plan import StagePlan
from common.workloads.workload import Phase
from tests.common.workloads.world import PLAN, REF, World

STREAM = PLAN.model_copy(
    update={"stages": (StagePlan(name="dataset", variable="DATA_DIR", manifest=REF, stream=True),)}
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = await World.open(tmp_path)
    yield made
    await made.close()


async def test_after_a_restart_too_it_is_carried_on_while_the_workload_runs(world: World) -> None:
    await world.ask(plan=STREAM)
    for _ in range(3):
        await world.round()
    assert (await world.find()).phase == Phase.RUNNING
    before = world.staging.carried_on
    assert before
    world.restart()
    await world.round()
    await world.round()
    assert world.staging.carried_on > before


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Problem("staging_failed", "'data-000003.tar' is damaged."), EndReason.STAGING_FAILED),
        (StorageFull("storage_full", "There is no room."), EndReason.STORAGE_FULL),
    ],
)
async def test_what_can_t_arrive_any_more_ends_it_with_the_reason(
    world: World, problem: Problem, reason: EndReason
) -> None:
    await world.ask(plan=STREAM)
    await world.round()
    world.staging.broken = problem
    for _ in range(6):
        await world.round()
    ended = await world.find()
    assert ended.phase == Phase.ENDED
    assert ended.outcome is not None
    assert (ended.outcome.reason, ended.outcome.detail) == (reason, problem.detail)
    assert world.staging.held == set()
