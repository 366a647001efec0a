"""Every workload ends, once, with nothing left of it, whatever happens on its way."""

from __future__ import annotations

import asyncio
import json
import math
import tempfile
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from common.contracts.allocation import AllocationGranted
from common.contracts.job import EndReason
from common.db.inbox import Heard
from common.db.tables import outbox
from common.kernel.errors import Problem
from common.workloads.plan import FolderPlan, Plan
from common.workloads.workload import TRANSITIONS, Phase
from tests.common.workloads.world import PLAN, World

ACTIONS = ("round", "exit", "fail", "stop", "owner down", "owner up", "unseen", "seen", "full disk", "vanish")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = await World.open(tmp_path)
    yield made
    await made.close()


async def told(world: World) -> list[str]:
    async with world.store.reading() as connection:
        rows = (await connection.execute(select(outbox.c.payload).order_by(outbox.c.id))).scalars()
        types = [json.loads(row)["type"] for row in rows]
    return [type_ for type_ in types if type_ != "allocation.confirmed"]  # the rounds here are a minute apart


async def test_every_minute_the_ledger_is_told_what_is_still_known(world: World) -> None:
    await world.ask()
    for _ in range(3):
        await world.round()
    async with world.store.reading() as connection:
        rows = (await connection.execute(select(outbox.c.payload).order_by(outbox.c.id))).scalars()
        beats = [event["data"] for row in rows if (event := json.loads(row))["type"] == "allocation.confirmed"]
    assert beats
    assert all(beat["ids"] == ["alloc-att-1"] for beat in beats)


async def test_who_gives_way_has_its_grace_and_ends_for_good_where_somebody_asks_for_that(world: World) -> None:
    world.runtime.obeys_stop = False
    await world.ask()
    await world.round()
    async with world.store.work() as uow:
        await world.workloads.ask_stop(uow, "att-1", EndReason.PREEMPTED, grace=30)
    await world.round()
    assert (world.runtime.workloads["att-1"].stops[0], world.runtime.workloads["att-1"].notices[0]) == (30, "preempted")
    await world.stop(grace=5)
    async with world.store.work() as uow:
        await world.workloads.ask_stop(uow, "att-1", EndReason.PREEMPTED, grace=30)
    world.runtime.ends("att-1", 143, "stopped")
    await to_its_end(world)
    outcome = (await world.find()).outcome
    assert outcome is not None
    assert outcome.reason == EndReason.STOPPED_BY_USER


async def test_what_gave_way_has_not_failed_where_its_results_could_not_be_kept(world: World) -> None:
    await world.ask()
    await world.round()
    world.hooks.full = True
    async with world.store.work() as uow:
        await world.workloads.ask_stop(uow, "att-1", EndReason.PREEMPTED, grace=30, detail="for another")
    await to_its_end(world)
    ended = await world.find()
    assert ended.outcome is not None
    assert (ended.outcome.reason, ended.outcome.detail) == (EndReason.PREEMPTED, "for another")
    assert "could not be kept" in ended.result["notes"][0]


async def to_its_end(world: World, rounds: int = 40) -> None:
    for _ in range(rounds):
        if (await world.find()).phase == Phase.ENDED:
            return
        await world.round()
    raise AssertionError(f"it does not end: {await world.find()}")


async def test_the_whole_way(world):
    await world.ask()
    await world.round()
    assert (await world.find()).phase == Phase.RUNNING
    held = {path.rpartition("/")[0] for path in world.calls.holds}
    assert held == {"dataset-svc/datasets/ds/holds", "algo-svc/a/b/holds"}
    world.runtime.ends("att-1")
    await world.round()
    ended = await world.find()
    assert (ended.phase, ended.outcome.reason, ended.result) == (Phase.ENDED, EndReason.COMPLETED, {"kept": True})
    assert next(phase for _, phase in world.hooks.phases if phase != Phase.WAITING) == Phase.PREPARING
    assert await told(world) == ["allocation.requested", "allocation.released"]


async def test_what_is_over_before_its_launch_could_be_written_is_written_with_it(world: World) -> None:
    world.staging.gate = asyncio.Event()
    world.workloads.loop.held_until = math.inf
    await world.ask()
    going = asyncio.create_task(world.round())
    while not world.workloads.progress:
        await asyncio.sleep(0)
    async with asyncio.timeout(60), world.store.database.writing():
        world.staging.gate.set()
        while not world.workloads._writing.under_way:
            await asyncio.sleep(0)
        world.runtime.ends("att-1")
        await asyncio.sleep(0)
    await going
    ended = await world.find()
    assert (ended.phase, ended.version) == (Phase.ENDED, 5), "asked, granted, run, collected, released"
    assert [phase for _, phase in world.hooks.phases][-4:] == [
        Phase.RUNNING,
        Phase.COLLECTING,
        Phase.RELEASING,
        Phase.ENDED,
    ]


async def test_what_the_runtime_tells_of_anothers_workloads_is_passed_over(world: World) -> None:
    await world.round()
    world.workloads._hear("rep-of-another")
    assert not world.workloads.under_way()


@pytest.mark.parametrize(
    ("kind", "phase"), [("replica", Phase.WAITING), ("job", Phase.PREPARING), (None, Phase.PREPARING)]
)
async def test_what_is_told_of_another_kind_is_not_looked_for(world: World, kind: Any, phase: Phase) -> None:
    await world.ask(grant=False)
    granted = AllocationGranted(id="alloc-att-1", workload="att-1", placements=(), kind=kind)
    async with world.store.work() as uow:
        await world.workloads.on_allocation_granted(uow, Heard(granted, envelope=None))  # type: ignore[arg-type]
    assert (await world.find()).phase == phase


async def act(world: World, action: str) -> None:
    """One thing that happens in the world."""
    one = world.runtime.workloads.get("att-1")
    runs = one is not None and one.seen.state == "running"
    if action == "round":
        await world.round()
    elif action in ("exit", "fail", "vanish") and runs:
        code, cause = {"exit": (0, "exit"), "fail": (3, "exit"), "vanish": (None, "lost")}[action]
        world.runtime.ends("att-1", code, cause)
    elif action == "stop":
        await world.stop()
    elif action in ("owner down", "owner up"):
        world.calls.down = action == "owner down"
    elif action in ("unseen", "seen"):
        world.runtime.unseen = action == "unseen"
    elif action == "full disk":
        world.hooks.full = True


@settings(max_examples=120)
@given(
    actions=st.lists(st.sampled_from(ACTIONS), max_size=10),
    kills=st.lists(st.tuples(st.integers(1, 14), st.booleans()), max_size=3),
    obeys=st.booleans(),
)
def test_killed_anywhere_it_runs_once_ends_once_and_leaves_nothing(actions, kills, obeys):
    asyncio.run(_killed_anywhere(actions, kills, obeys))


async def _killed_anywhere(actions: list[str], kills: list[tuple[int, bool]], obeys: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = await World.open(Path(folder))
        world.runtime.obeys_stop = obeys
        try:
            await world.ask()
            for action in actions:
                if world.fate.kill_at is None and kills:
                    steps, world.fate.after = kills.pop()
                    world.fate.kill_at = world.fate.steps + steps
                await act(world, action)
            world.fate.kill_at = None
            world.calls.down = world.runtime.unseen = False
            for _ in range(3):
                await world.round()
            if (await world.find()).phase == Phase.RUNNING:
                await act(world, "exit")
            await to_its_end(world)
            await world.round()
            await check_the_end(world)
        finally:
            await world.close()


async def check_the_end(world: World) -> None:
    ended = await world.find()
    assert ended.outcome is not None
    assert len(world.runtime.started) == len(set(world.runtime.started)), "started twice"
    assert not world.runtime.workloads, "something of it is left"
    assert not world.calls.holds, "a hold is left"
    assert not world.staging.held, "a staged folder is held"
    assert (await told(world)).count("allocation.released") == 1
    phases = [phase for _, phase in world.hooks.phases]
    moves = {(at, to) for (at, _), to in TRANSITIONS.moves.items()}
    changes = [(at, to) for at, to in pairwise(phases) if at != to]
    assert set(changes) <= moves


async def test_a_waiting_one_that_is_stopped_ends_at_once_and_takes_back_what_it_asked(world):
    await world.ask(grant=False)
    await world.stop()
    ended = await world.find()
    assert (ended.phase, ended.outcome.reason) == (Phase.ENDED, EndReason.STOPPED_BY_USER)
    assert await told(world) == ["allocation.requested", "allocation.cancelled"]
    async with world.store.work() as uow:
        await world.workloads.grant(uow, "att-1", ())
    assert (await world.find()).phase == Phase.ENDED


async def test_what_many_need_is_held_once_and_let_go_when_nobody_has_needed_it_for_a_while(world):
    for name in ("att-1", "att-2"):
        await world.ask(name)
    await world.round()
    assert len(world.calls.holds) == 2
    for name in ("att-1", "att-2"):
        world.runtime.ends(name)
        await world.round()
        await world.round()
        assert len(world.calls.holds) == (2 if name == "att-1" else 0)


async def test_holds_are_found_again_by_whoever_steps_next(world):
    await world.ask()
    await world.round()
    held = set(world.calls.holds)
    world.restart()
    world.calls.down = True
    await world.round()
    world.runtime.ends("att-1")
    await to_its_end(world)
    await world.round()
    assert world.calls.holds == held, "their owner is away"
    world.restart()
    world.calls.down = False
    for _ in range(2):
        await world.round()
    assert not world.calls.holds


async def test_stopping_interrupts_staging(world):
    world.staging.gate = asyncio.Event()
    await world.ask()
    rounds = asyncio.create_task(world.round())
    while not world.workloads.progress:
        await asyncio.sleep(0)
    await world.stop()
    await rounds
    await to_its_end(world)
    assert world.runtime.started == []
    assert (await world.find()).outcome.reason == EndReason.STOPPED_BY_USER


async def test_a_launch_that_is_refused_is_the_reason(world):
    world.runtime.refusing = Problem("launch_failed", "There is no program 'train'.")
    await world.ask()
    await world.round()
    ended = await world.find()
    assert (ended.phase, ended.outcome.reason) == (Phase.ENDED, EndReason.LAUNCH_FAILED)
    assert "no program" in ended.outcome.detail


async def test_what_could_not_be_kept_is_the_reason(world):
    world.hooks.full = True
    await world.ask()
    await world.round()
    world.runtime.ends("att-1")
    await world.round()
    assert (await world.find()).outcome.reason == EndReason.STORAGE_FULL


async def test_a_failing_look_does_not_hide_the_end(world):
    world.hooks.blind = True
    await world.ask()
    await world.round()
    world.runtime.ends("att-1", 3)
    await world.round()
    ended = await world.find()
    assert (ended.phase, ended.outcome.reason, ended.outcome.exit_code) == (Phase.ENDED, EndReason.EXIT_CODE, 3)


async def test_losing_sight_is_not_losing_it(world):
    await world.ask()
    await world.round()
    world.runtime.unseen = True
    for _ in range(3):
        await world.round()
    assert (await world.find()).phase == Phase.RUNNING
    world.runtime.unseen = False
    await world.round()
    assert world.runtime.started == ["att-1"]


async def test_devices_are_given_back_only_when_nothing_of_it_runs_any_more(world):
    world.runtime.obeys_stop = False
    await world.ask()
    await world.round()
    await world.stop(grace=5)
    await world.round()
    assert world.runtime.workloads["att-1"].stops[0] == 5
    assert "allocation.released" not in await told(world)
    world.runtime.ends("att-1", 137, "stopped")
    await world.round()
    assert "allocation.released" in await told(world)


async def test_pauses_grow_while_an_owner_is_away_and_a_word_from_outside_cuts_them_short(world):
    world.calls.down = True
    await world.ask()
    tried = []
    for _ in range(40):
        before = world.fate.steps
        world.clock.advance(-59)  # rounds a second apart
        await world.round()
        tried.append(world.fate.steps > before)
    assert sum(tried[:10]) > sum(tried[-20:]), "the pauses do not grow"
    before = world.fate.steps
    world.workloads.wake("att-1")
    await asyncio.gather(*world.workloads.under_way(), return_exceptions=True)
    assert world.fate.steps > before
    assert "away" in world.workloads.progress["att-1"][1]
    world.calls.down = False
    await world.round()
    assert (await world.find()).phase == Phase.RUNNING
    assert "att-1" not in world.workloads.progress


async def test_what_it_was_launched_with_is_the_plan(world):
    plan = PLAN.model_copy(update={"seconds": 60.0, "environment": {"A": "1"}})
    plan = Plan.model_validate(
        {**plan.model_dump(), "folders": [FolderPlan(name="ckpt", variable="C", volume="ckpt/j")]}
    )
    await world.ask(plan=plan)
    await world.round()
    spec = world.runtime.workloads["att-1"].spec
    assert (spec.limits.seconds, spec.environment, spec.command) == (60.0, {"A": "1"}, ("train",))
    assert [(m.name, m.kind) for m in spec.mounts] == [("dataset", "staged"), ("ckpt", "volume")]
