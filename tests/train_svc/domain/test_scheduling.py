"""No device twice, nobody overtaken, nothing left idle that the first in line could use."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.shared import Resources
from common.ports.inventory import Device, Node
from train_svc.domain.scheduling import Ask, Held, State, ever_fits, free, largest, place, plan

MODELS = ("A100", "H200")


@st.composite
def nodes(draw: st.DrawFn) -> tuple[Node, ...]:
    found = []
    for number in range(draw(st.integers(1, 4))):
        kinds = draw(st.lists(st.sampled_from(["gpu", "npu"]), max_size=6))
        devices = tuple(Device(f"{kind}-{n}", kind, draw(st.sampled_from(MODELS))) for n, kind in enumerate(kinds))
        found.append(Node(f"node-{number}", draw(st.sampled_from([1.0, 2.0, 4.5])), draw(st.integers(0, 8)), devices))
    return tuple(found)


@st.composite
def resources(draw: st.DrawFn) -> Resources:
    kind = draw(st.sampled_from([None, "gpu", "npu"]))
    return Resources(
        cpu=draw(st.sampled_from([0, 0.1, 0.3, 1.0, 2.5])),
        memory=draw(st.integers(0, 4)),
        accelerator=kind,
        model=draw(st.sampled_from([None, *MODELS])) if kind else None,
        count=draw(st.integers(1, 3)) if kind else 0,
        nodes=draw(st.integers(1, 3)),
    )


@st.composite
def states(draw: st.DrawFn) -> State:
    """A state that a ledger can be in: what is held was granted before."""
    place_of, asks = draw(nodes()), draw(st.lists(resources(), max_size=8))
    numbered = [Ask(f"alloc-{n}", n, asked) for n, asked in enumerate(asks)]
    cut = draw(st.integers(0, len(numbered)))
    held = tuple(
        Held(grant.id, numbered[int(grant.id.split("-")[1])].resources, grant.placements)
        for grant in plan(State(place_of, (), tuple(numbered[:cut])))
    )
    waiting = draw(st.permutations(numbered[cut:]))
    return State(place_of, held, tuple(waiting))


def everything_held(state: State) -> tuple[Held, ...]:
    asked = {ask.id: ask.resources for ask in state.waiting}
    return (*state.held, *(Held(grant.id, asked[grant.id], grant.placements) for grant in plan(state)))


@given(states())
def test_no_device_is_given_twice_and_nothing_beyond_a_node(state: State) -> None:
    held = everything_held(state)
    used = Counter((p.node, device) for promise in held for p in promise.placements for device in p.devices)
    assert all(times == 1 for times in used.values())
    for node in free(state.nodes, held):
        assert node.cpu >= -1e-6
        assert node.memory >= 0


@given(states())
def test_a_gang_gets_a_node_a_member_and_exactly_what_it_asked(state: State) -> None:
    asked = {ask.id: ask.resources for ask in state.waiting}
    devices = {(node.name, device.id): device for node in state.nodes for device in node.devices}
    for grant in plan(state):
        wanted = asked[grant.id]
        assert len({p.node for p in grant.placements}) == len(grant.placements) == wanted.nodes
        for placement in grant.placements:
            assert len(placement.devices) == wanted.count
            for device in placement.devices:
                assert devices[placement.node, device].kind == wanted.accelerator
                assert wanted.model in (None, devices[placement.node, device].model)


@given(states())
def test_first_come_first_served(state: State) -> None:
    order = [ask.id for ask in sorted(state.waiting, key=lambda ask: ask.number)]
    granted = [grant.id for grant in plan(state)]
    assert granted == order[: len(granted)]
    if len(granted) < len(order):
        head = next(ask for ask in state.waiting if ask.id == order[len(granted)])
        assert place(head.resources, free(state.nodes, everything_held(state))) is None


@given(states())
def test_planning_again_decides_nothing_more(state: State) -> None:
    granted = {grant.id for grant in plan(state)}
    rest = tuple(ask for ask in state.waiting if ask.id not in granted)
    assert plan(State(state.nodes, everything_held(state), rest)) == ()


@given(nodes(), resources())
def test_the_largest_that_would_fit_fits(place_of: tuple[Node, ...], asked: Resources) -> None:
    offer = largest(asked, place_of)
    if ever_fits(asked, place_of):
        assert offer is not None
    if offer is not None:
        assert ever_fits(offer, place_of)
        assert offer.cpu <= asked.cpu
        assert offer.count <= asked.count


def test_three_tenths_of_a_core_are_three_times_a_tenth() -> None:
    node = Node("one", 0.3, 0)
    held = tuple(Held(f"h{n}", Resources(cpu=0.1), place(Resources(cpu=0.1), free([node], ())) or ()) for n in range(2))
    assert place(Resources(cpu=0.1), free([node], held)) is not None


@pytest.mark.parametrize("count", [1, 2])
def test_tight_nodes_are_filled_first_so_that_large_holes_stay_whole(count: int) -> None:
    devices = tuple(Device(f"gpu-{n}", "gpu", "A100") for n in range(10, 14))
    small, big = Node("small", 8, 0, devices[:2]), Node("big", 8, 0, devices)
    placed = place(Resources(accelerator="gpu", count=count), free([big, small], ()))
    assert placed is not None
    assert placed[0].node == "small"
    assert placed[0].devices == tuple(f"gpu-{n}" for n in range(10, 10 + count))
