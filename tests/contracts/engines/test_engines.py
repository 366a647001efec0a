"""What every adapter of engines promises: built once, shared by all that ask for the same, told while it is built."""

from __future__ import annotations

import asyncio

import pytest

from common.kernel.errors import Invalid, Problem
from common.ports.images import EngineSpec, EngineState, EngineStatus

EMPTY = EngineSpec("plain", ())
TWO = EngineSpec("two", ("yard_two",))


async def test_an_engine_without_requirements(engines, ask):
    status = await engines.ensure(EMPTY)
    assert (status.state, status.progress) == (EngineState.READY, 1.0)
    assert ask(status, "import sys; print(sys.prefix != sys.base_prefix)") == "True"


@pytest.mark.row("A11")
async def test_requirements_are_there_with_what_they_require(engines, ask):
    status = await engines.ensure(TWO)
    assert ask(status, "import yard_two; print(yard_two.VALUE)") == "11"


async def test_absent_building_ready(engines):
    assert (await engines.status(TWO)).state is EngineState.ABSENT
    seen: list[EngineStatus] = []
    status = await engines.ensure(TWO, seen.append)
    progress = [step.progress for step in seen]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert {step.state for step in seen} == {EngineState.BUILDING, EngineState.READY}
    assert len({step.detail for step in seen}) > 3
    assert await engines.status(TWO) == status


async def test_equal_requests_share_one_build(engines):
    first, second = EngineSpec("a", ("yard_one", "yard_two")), EngineSpec("b", ("yard_two", "yard_one "))
    seen: list[EngineStatus] = []
    made = await asyncio.gather(engines.ensure(first, seen.append), engines.ensure(second))
    assert made[0] == made[1]
    again: list[EngineStatus] = []
    assert await engines.ensure(second, again.append) == made[0]
    assert [step.state for step in again] == [EngineState.READY]


async def test_other_requirements_are_another_engine(engines, ask):
    one = await engines.ensure(EngineSpec("x", ("yard_one==1.0",)))
    two = await engines.ensure(EngineSpec("x", ("yard_one==2.0",)))
    assert one.digest != two.digest
    assert ask(one, "import yard_one; print(yard_one.VALUE)") == "1"
    assert ask(two, "import yard_one; print(yard_one.VALUE)") == "2"


async def test_two_platforms_share_one_build(make, root, wheels):
    one, two = make(root, wheels), make(root, wheels)
    made = await asyncio.gather(one.ensure(TWO), two.ensure(TWO))
    assert made[0] == made[1]
    assert (await make(root, wheels).status(TWO)).state is EngineState.READY


async def test_a_failure_says_why_and_may_be_tried_again(engines, wheels):
    spec = EngineSpec("x", ("yard-nowhere>=3",))
    for _ in range(2):
        with pytest.raises(Problem) as caught:
            await engines.ensure(spec)
        assert caught.value.code == "engine_failed"
        assert "yard-nowhere" in caught.value.detail
    status = await engines.status(spec)
    assert status.state is EngineState.FAILED
    assert "yard-nowhere" in status.detail


async def test_a_python_that_is_not_there(engines):
    with pytest.raises(Problem) as caught:
        await engines.ensure(EngineSpec("x", (), python=">=3.99"))
    assert caught.value.code == "engine_failed"
    assert "3.99" in caught.value.detail


async def test_a_waiter_that_gives_up_ends_no_build(engines):
    waiter = asyncio.create_task(engines.ensure(TWO))
    await asyncio.sleep(0)
    other = asyncio.create_task(engines.ensure(TWO))
    await asyncio.sleep(0)
    waiter.cancel()
    assert (await other).state is EngineState.READY


@pytest.mark.parametrize(
    "requirement",
    [
        "-r /etc/passwd", "--index-url=x", "-e .", "git+ssh://x/y", "file:///x.whl", "./local", "/abs/path",
        "x.whl @ file:y", "a @ https://x/y.whl", "", " ",
        "a b", "a;", "a\n--pre", "a==1 --hash=x", "名", "a" * 301, "../up", "C:\\x",
    ],
)  # fmt: skip
async def test_options_addresses_and_paths_are_refused(engines, requirement):
    spec = EngineSpec("x", ("yard_one", requirement))
    for verb in (engines.ensure, engines.status):
        with pytest.raises(Invalid) as caught:
            await verb(spec)
        assert caught.value.code == "bad_requirement"
        assert caught.value.faults[0].where == "requirements[1]"
