"""The pure rules: the number of replicas, the state that follows from them, backoff, and the online test's request."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.shared import InferencePart, Interface, InterfaceInput
from common.kernel.errors import Conflict, Invalid
from serving_svc.domain.replicas import Decision, Replica, decide
from serving_svc.domain.requests import build_request, path_of, shown
from serving_svc.domain.service import TRANSITIONS, Backoff, InferenceService, ServiceState

README = Path(__file__).parents[2] / "services/serving-svc/README.md"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_readme_draws_the_table() -> None:
    assert TRANSITIONS.mermaid() in README.read_text("utf-8")


def service(**changes: Any) -> InferenceService:
    return InferenceService("svc-1", "digits", "alice", InferencePart(), NOW, NOW, **changes)


@st.composite
def replica_sets(draw: st.DrawFn) -> list[Replica]:
    return [
        Replica(
            id=f"rep-{number:02}",
            created_at=NOW + timedelta(seconds=draw(st.integers(0, 5))),
            ready=draw(st.booleans()),
            draining_at=draw(st.sampled_from([None, None, NOW, NOW + timedelta(seconds=9.9)])),
            sick=draw(st.sampled_from(["", "", "it fell ill"])),
            leaving=draw(st.booleans()),
            replace_by=draw(st.sampled_from([None, None, NOW, NOW + timedelta(seconds=60)])),
            address=f"http://rep-{number}",
        )
        for number in range(draw(st.integers(0, 8)))
    ]


AT = NOW + timedelta(seconds=10)


@pytest.mark.row("S6", "S8")
@given(st.integers(0, 8), replica_sets(), st.integers(0, 3), st.sampled_from([None, NOW, AT + timedelta(seconds=1)]))
def test_a_decision_leads_to_the_number_wanted(
    wanted: int, replicas: list[Replica], deaths: int, retry_at: datetime | None
) -> None:
    decision = decide(wanted, replicas, AT, deaths=deaths, retry_at=retry_at)
    by_id = {replica.id: replica for replica in replicas}
    let_go = {i for i in (*decision.drain, *decision.stop) if by_id[i].active}
    answering = sum(replica.ready for replica in replicas if replica.active)
    early = [i for i in decision.drain if by_id[i].moving and by_id[i].replace_by != NOW]
    assert not early or answering >= wanted, "what moves answers until others do"
    active = [replica for replica in replicas if replica.active]
    left = len(active) - len(let_go)
    assert left + decision.create <= max(wanted, 0), "never more than wanted"
    assert left >= min(wanted, len(active)), "none too few are kept"
    assert not set(decision.drain) & set(decision.stop)
    assert all(not by_id[i].leaving for i in (*decision.drain, *decision.stop)), "nobody is asked twice"
    assert all(by_id[i].ready for i in decision.drain)
    assert all(not by_id[i].routed for i in decision.stop), "what is routed to is drained first"
    if decision.create:
        assert retry_at is None or retry_at <= AT
        assert not let_go, "nothing is stopped to be created again"
    if deaths == 0 and (retry_at is None or retry_at <= AT):
        assert left + decision.create == wanted


@pytest.mark.row("S8")
@given(st.integers(0, 8), replica_sets())
def test_ready_ones_are_kept_before_others_and_old_ones_before_new(wanted: int, replicas: list[Replica]) -> None:
    decision = decide(wanted, replicas, AT)
    kept = [r for r in replicas if r.active and r.id not in (*decision.drain, *decision.stop)]
    gone = [r for r in replicas if r.id in decision.drain and r.active]
    if gone:
        assert all(r.ready for r in kept), "a ready one goes only when no other is left to go"
        assert all(k.created_at <= g.created_at for k in kept for g in gone)


def test_what_a_clock_noted_that_was_set_back_is_not_waited_for() -> None:
    later = AT + timedelta(hours=1)
    drained = Replica("rep-1", NOW, ready=False, draining_at=later, sick="", leaving=False, address="http://1")
    assert decide(1, [drained], AT, deaths=1, retry_at=later).stop == ("rep-1",)
    assert decide(1, [drained], AT, deaths=1, retry_at=later).create == 1
    assert decide(1, [drained], AT, deaths=1, retry_at=AT + timedelta(seconds=299)).create == 0


def test_drained_replicas_are_stopped_only_when_others_were_told() -> None:
    draining = Replica("rep-1", NOW, ready=True, draining_at=NOW)
    assert decide(0, [draining], AT, told=False).nothing
    assert decide(0, [draining], AT, told=True).stop == ("rep-1",)
    assert decide(0, [draining], NOW + timedelta(seconds=30), told=False).stop == ("rep-1",), "not for ever"
    assert decide(0, [draining], NOW + timedelta(seconds=0.1), drain_seconds=0.5).nothing


def test_a_replica_of_a_drained_node_goes_when_another_answers() -> None:
    later = AT + timedelta(seconds=30)
    moving = Replica("rep-1", NOW, ready=True, replace_by=later)
    assert moving.routed
    assert decide(1, [moving], AT) == Decision(create=1)
    coming = Replica("rep-2", AT)
    assert decide(1, [moving, coming], AT).nothing
    assert decide(1, [moving, replace(coming, ready=True)], AT).drain == ("rep-1",)
    assert decide(1, [moving, coming], later).drain == ("rep-1",), "its time is over"
    assert decide(1, [replace(moving, ready=False), coming], AT).stop == ("rep-1",), "it answers nobody"
    assert decide(0, [moving], AT).drain == ("rep-1",)


def test_while_replicas_die_one_is_tried_at_a_time() -> None:
    assert decide(3, [], AT, deaths=2).create == 1
    assert decide(3, [Replica("rep-1", NOW)], AT, deaths=2).create == 0
    assert decide(3, [Replica("rep-1", NOW, ready=True)], AT, deaths=2).create == 2


@given(st.integers(1, 60), st.booleans())
def test_pauses_grow_up_to_the_longest(deaths: int, was_ready: bool) -> None:
    backoff = Backoff(first=1, longest=300)
    assert backoff.pause(deaths, was_ready) <= backoff.pause(deaths + 1, was_ready) <= 300


verbs = st.lists(st.sampled_from(["start", "scale", "stop", "die", "ready", "unready", "gone"]), max_size=25)


@pytest.mark.row("S6", "S7", "S8")
@given(verbs)
def test_the_state_follows_from_what_is_wanted_and_seen(history: list[str]) -> None:
    one, replicas, ready = service(), [Replica("rep-1", NOW, address="http://a")], False
    for verb in history:
        try:
            if verb == "start":
                one = one.started(2)
            elif verb == "scale":
                one = one.scaled(3)
            elif verb == "stop":
                one = one.stopped()
            elif verb == "die" and one.replicas:
                one = one.lost(replicas[0], "it ended.", False, NOW, Backoff())
        except Conflict:
            continue
        ready = {"ready": True, "unready": False, "gone": False}.get(verb, ready)
        there = [] if verb == "gone" else [replace(replicas[0], ready=ready)]
        one = one.settled(there)
        assert bool(one.endpoints) == (one.state == ServiceState.RUNNING)
        assert (one.replicas == 0) == (one.state in (ServiceState.STOPPED, ServiceState.STOPPING))
        assert one.settled(there) == one, "settling twice is settling once"
        if one.state == ServiceState.FAILED:
            assert one.detail
            assert one.retry_at is not None


def test_a_replica_that_was_ready_for_long_died_of_something_new() -> None:
    running = service(state=ServiceState.RUNNING, replicas=1, deaths=5)
    old = Replica("rep-1", NOW, ready_at=NOW - timedelta(seconds=61))
    assert running.lost(old, "it ended.", False, NOW, Backoff()).deaths == 1
    assert running.lost(old, "it ended.", False, NOW, Backoff()).retry_at == NOW
    young = replace(old, ready_at=NOW - timedelta(seconds=5))
    assert running.lost(young, "it ended.", False, NOW, Backoff()).deaths == 6


INPUTS = (
    InterfaceInput(name="text", test_value="足球"),
    InterfaceInput(name="top", type="Integer", required=False, test_value="3"),
)
IMAGE = InterfaceInput(name="image", type="File", test_value=base64.b64encode(b"png").decode())


@pytest.mark.row("S10")
def test_each_style_puts_its_inputs_where_they_belong() -> None:
    params = build_request(Interface(name="c", style="params", inputs=INPUTS), None)
    assert (params.method, params.path, params.query) == ("POST", "/c", {"text": "足球", "top": "3"})
    body = build_request(Interface(name="c", style="json", path="/x", inputs=INPUTS), None)
    assert (body.path, body.json_body) == ("/x", {"text": "足球", "top": 3})
    form = build_request(Interface(name="c", style="form", inputs=INPUTS), {"text": "a"})
    assert form.form == {"text": "a"}
    file = build_request(Interface(name="c", style="file", inputs=(IMAGE, *INPUTS)), None)
    assert (file.files, file.form) == ({"image": b"png"}, {"text": "足球", "top": "3"})
    assert shown("svc-1", file)["files"] == {"image": 3}
    assert shown("svc-1", body) == {
        "method": "POST",
        "path": "/serve/svc-1/x",
        "json": {"text": "足球", "top": 3},
    }
    assert path_of(Interface(name="c", path="y")) == "/y"


@pytest.mark.row("S10")
@pytest.mark.parametrize(
    ("given_inputs", "where"),
    [
        ({}, "inputs.text"),
        ({"text": None}, "inputs.text"),
        ({"text": "a", "colour": "red"}, "inputs.colour"),
        ({"text": "a", "top": "many"}, "inputs.top"),
        ({"text": ["a"]}, "inputs.text"),
        ({"text": "a", "top": True}, "inputs.top"),
    ],
)
def test_inputs_that_do_not_fit(given_inputs: dict[str, Any], where: str) -> None:
    with pytest.raises(Invalid) as raised:
        build_request(Interface(name="c", inputs=INPUTS), given_inputs)
    assert where in [fault.where for fault in raised.value.faults]


@pytest.mark.row("S10")
def test_a_required_input_without_a_test_value_must_be_given() -> None:
    bare = Interface(name="c", inputs=(InterfaceInput(name="text"),))
    with pytest.raises(Invalid, match=r"inputs\.text"):
        build_request(bare, None)
    assert build_request(bare, {"text": "a"}).json_body == {"text": "a"}
