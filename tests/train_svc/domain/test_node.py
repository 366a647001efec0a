"""What is known of a node: marks of administrators, and what is lost once its grace has passed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ports.inventory import Device, Node
from train_svc.domain.node import (
    KnownNode,
    Mark,
    NodeState,
    forgettable,
    loss,
    observed,
    without_lost_devices,
    written_off,
)

pytestmark = pytest.mark.row("T9")

START = datetime(2026, 1, 1, tzinfo=UTC)
GRACE = 300.0


def node(*numbers: int) -> Node:
    """A node with these GPUs."""
    return Node("one", 8.0, 1 << 30, tuple(Device(f"gpu-{n}", "gpu", "A100") for n in numbers))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def seen(known: KnownNode | None, shown: Node | None, seconds: float) -> KnownNode:
    found = observed(known, shown, at(seconds), GRACE)
    assert found is not None
    return found


def test_a_node_that_goes_is_missing_then_lost_and_back_when_it_shows():
    known = seen(None, node(0, 1), 0)
    assert (known.state, known.takes_new) == (NodeState.READY, True)
    missing = seen(known, None, 10)
    assert (missing.state, missing.takes_new, written_off(missing)) == (NodeState.MISSING, False, None)
    assert seen(missing, None, 309).state is NodeState.MISSING
    lost = seen(missing, None, 310)
    assert lost.state is NodeState.LOST
    found = loss(missing, lost)
    assert found is not None
    assert (found.devices, "shows it no more" in found.reason) == (None, True)
    assert loss(lost, seen(lost, None, 400)) is None, "it is found once"
    assert seen(lost.confirmed_dead(at(320)), node(0, 1), 500) == known


def test_a_device_that_goes_is_kept_for_its_holder_until_it_is_lost():
    known = seen(seen(None, node(0, 1), 0), node(1), 10)
    assert [device.id for device in known.usable.devices] == ["gpu-1", "gpu-0"]
    assert (known.state, known.takes_new) == (NodeState.READY, False), "the device might be given to somebody"
    assert seen(known, node(0, 1), 100) == seen(None, node(0, 1), 0)
    lost = seen(known, node(1), 310)
    assert [device.id for device in lost.usable.devices] == ["gpu-1"]
    assert lost.takes_new
    found = loss(known, lost)
    assert found is not None
    assert found.concerns("one", ("gpu-0", "gpu-1"))
    assert not found.concerns("one", ("gpu-1",))
    assert without_lost_devices(lost, frozenset({"gpu-0"})) == lost
    assert without_lost_devices(lost, frozenset()) == seen(None, node(1), 310)


def test_marks_are_moved_by_administrators_and_outlive_everything():
    known = seen(None, node(), 0).marked("cordon", "fan", "root", at(1))
    assert (known.state, known.reason, known.since, known.by) == (NodeState.CORDONED, "fan", at(1), "root")
    again = known.marked("cordon", "disk", "eve", at(2))
    assert (again.reason, again.since, again.by) == ("disk", at(1), "eve")
    draining = again.marked("drain", "", "root", at(3), 60)
    assert (draining.state, draining.since, draining.grace) == (NodeState.DRAINING, at(3), 60)
    gone = seen(seen(draining, None, 10), None, 900)
    assert gone.state is NodeState.LOST
    assert seen(gone, node(), 1000).mark is Mark.DRAINING
    assert draining.marked("uncordon", "", "root", at(4)) == seen(None, node(), 0)


def test_what_is_lost_is_forgotten_when_nobody_can_want_to_know():
    lost = seen(seen(seen(None, node(), 0), None, 0), None, 300)
    assert not forgettable(lost, False, at(1000), 86400)
    assert forgettable(lost, False, at(86400), 86400)
    assert not forgettable(lost, True, at(86400), 86400)
    assert forgettable(lost.confirmed_dead(at(400)), False, at(401), 86400)
    assert not forgettable(seen(None, node(), 0), False, at(86400), 86400)


LOOKS = st.lists(st.tuples(st.floats(0, 400), st.none() | st.sets(st.integers(0, 3))), max_size=12)


@given(LOOKS)
def test_nothing_is_lost_before_it_was_missing_for_the_grace_and_then_once(looks):
    known: KnownNode | None = None
    now, absent, told = 0.0, dict[int, float](), set[str]()
    for pause, shown in looks:
        now += pause
        before, known = known, observed(known, None if shown is None else node(*shown), at(now), GRACE)
        if known is None:
            continue
        for number in range(4):
            if shown is not None and number in shown:
                absent.pop(number, None)
                told.discard(f"gpu-{number}")
            elif shown is not None:
                absent.setdefault(number, now)
        found = loss(before, known)
        for device in (found.devices or ()) if found is not None else ():
            assert now - absent[int(device[4:])] >= GRACE - 1e-3
            assert device not in told or (before is not None and before.lost)
            told.add(device)
        ids = [device.id for device in known.node.devices]
        assert len(ids) == len(set(ids))
        if shown is not None:
            assert {f"gpu-{n}" for n in shown} <= {device.id for device in known.usable.devices}
