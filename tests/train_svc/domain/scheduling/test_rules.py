"""Each rule of the scheduler by an example that a person can follow."""

from __future__ import annotations

import math

import pytest

from common.ports.inventory import Device
from tests.train_svc.domain.scheduling.cases import House, ask, node
from train_svc.domain.scheduling.explaining import largest, why
from train_svc.domain.scheduling.values import Member, Node, Queue, Quota, Refuse, Request, Revoke

HOUR = 3600.0


@pytest.mark.row("T19")
def test_first_come_first_served_where_nothing_else_differs() -> None:
    house = House(node("a", 2))
    house.step(ask("first"), ask("second", at=1), ask("third", at=2), now=3)
    assert list(house.began()) == ["first", "second"]
    house.step(ended=("first",))
    assert house.began() == {"third": ["a"]}


def test_small_ones_fill_nodes_that_are_begun_so_that_whole_nodes_stay_for_gangs() -> None:
    house = House(node("a"), node("b"), node("c"))
    house.step(ask("one", 3))
    house.step(ask("two", 3))
    house.step(ask("gang", 8, gang=2))
    assert house.began() == {"gang": ["b", "c"]}


def test_exact_devices_lowest_first() -> None:
    house = House(node("a", 12))
    house.step(ask("one", 10))
    house.step(ask("two", 2))
    assert house.state.books.running["two"].placements[0].devices == ("gpu-10", "gpu-11")


def test_a_gang_goes_into_the_tightest_domain_that_holds_all_of_it() -> None:
    wide = [node(f"w{n}", domain="wide") for n in range(4)]
    tight = [node(f"t{n}", domain="tight") for n in range(2)]
    house = House(*wide, *tight)
    house.step(ask("pair", 8, gang=2))
    assert house.began() == {"pair": ["t0", "t1"]}
    house.step(ask("five", 8, gang=4))
    assert house.began() == {"five": ["w0", "w1", "w2", "w3"]}


def test_a_gang_over_several_domains_uses_few_of_them() -> None:
    house = House(*[node(f"{domain}{n}", domain=domain) for domain in "abc" for n in range(2)])
    house.step(ask("four", 8, gang=4))
    assert len({name[0] for name in house.began()["four"]}) == 2


@pytest.mark.row("T19")
def test_a_gang_starts_whole_or_not_at_all() -> None:
    house = House(node("a"), node("b"))
    house.step(ask("in the way", 1, now := 0.0))
    house.step(ask("gang", 8, now, gang=2))
    assert house.began() == {}
    house.step(ended=("in the way",))
    assert sorted(house.began()["gang"]) == ["a", "b"]


def test_replicas_of_one_service_go_to_different_nodes() -> None:
    house = House(node("a"), node("b"))
    house.step(*(ask(f"r{n}", 1, anti_affinity="service") for n in range(3)))
    assert sorted(name for (name,) in house.began().values()) == ["a", "b"]
    house.step(ended=("r0",))
    assert house.began() == {"r2": ["a"]}


def test_a_replica_that_is_to_come_keeps_others_of_its_service_away() -> None:
    house = House(node("a", 4))
    house.step(ask("victim", 3, preemptible=True))
    house.step(ask("r0", 3, priority=1, anti_affinity="service"), ask("r1", 1, anti_affinity="service"), now=1)
    assert house.began() == {}
    house.step(ended=("victim",))
    assert house.began() == {"r0": ["a"]}


def test_selectors_and_cordons() -> None:
    house = House(node("a", labels={"disk": "slow"}), node("b", labels={"disk": "fast"}, cordoned=True))
    house.step(ask("picky", selectors=(("disk", "fast"),)))
    assert house.began() == {}
    house.step(nodes=(node("b", labels={"disk": "fast"}),))
    assert house.began() == {"picky": ["b"]}


def test_a_model_may_be_named() -> None:
    mixed = Node("m", 8000, 0, (Device("gpu-0", "gpu", "A100"), Device("gpu-1", "gpu", "H200")))
    house = House(mixed)
    house.step(Request("h", "default", "u", Member(0, 0, "gpu", 1, "H200"), 0.0))
    house.step(Request("any", "default", "u", Member(0, 0, "gpu", 1), 0.0))
    assert house.state.books.running["h"].placements[0].devices == ("gpu-1",)
    assert house.state.books.running["any"].placements[0].devices == ("gpu-0",)


@pytest.mark.row("T19")
def test_priority_then_the_share_of_groups_then_of_users() -> None:
    queues = (Queue("x", "x", weight=2.0), Queue("y", "y"))
    house = House(node("a", 6), queues=queues)
    house.step(
        *(ask(f"x-{user}-{n}", at=0.0, queue="x", user=user) for user in ("u", "v") for n in range(6)),
        *(ask(f"y-{n}", at=1.0, queue="y") for n in range(6)),
        ask("urgent", at=2.0, queue="y", priority=1),
        now=3,
    )
    began = list(house.began())
    assert began[0] == "urgent"
    assert sum(name.startswith("x-u") for name in began) == sum(name.startswith("x-v") for name in began) == 2
    assert sum(name.startswith("y") for name in began) == 1


def test_who_waits_long_enough_comes_before_the_more_important() -> None:
    house = House(node("a", 1), ageing=10.0, preempt=False)
    house.step(ask("running"))
    house.step(ask("old", at=0.0), ask("important", at=25.0, priority=2), now=25)
    house.step(ended=("running",), now=26)
    assert list(house.began()) == ["old"]


def cohort(**more) -> tuple[Queue, ...]:
    return tuple(Queue(name, name, {"gpu": 4}, cohort="both", **more) for name in ("x", "y"))


@pytest.mark.row("T19")
def test_what_is_unused_is_borrowed_and_given_back() -> None:
    house = House(node("a", 8), queues=cohort(), grace=5.0)
    for n in range(5):
        house.step(ask(f"x{n}", 2, queue="x", preemptible=True), now=float(n))
    assert len(house.running()) == 4
    house.step(ask("mine", 4, queue="y"), now=10)
    assert house.ended_for() == {"mine": ("x2", "x3")}
    house.step(ended=("x2",))
    assert house.began() == {}, "what is freed is kept for whoever preempted"
    house.step(ended=("x3",))
    assert house.began() == {"mine": ["a"]}


def test_borrowing_has_its_limit_and_a_queue_its_maximum() -> None:
    house = House(node("a", 8), queues=cohort(borrowing={"gpu": 1}))
    house.step(*(ask(f"x{n}", queue="x") for n in range(8)))
    assert len(house.began()) == 5
    house = House(node("a", 8), queues=(Queue("x", "x", maximum={"gpu": 3}),))
    house.step(*(ask(f"x{n}", queue="x") for n in range(8)))
    assert len(house.began()) == 3


def test_nobody_is_made_to_give_up_what_it_is_guaranteed() -> None:
    house = House(node("a", 8), queues=cohort())
    house.step(*(ask(f"x{n}", queue="x", preemptible=True) for n in range(4)))
    house.step(*(ask(f"y{n}", queue="y", priority=9) for n in range(5)))
    assert house.ended_for() == {}
    assert len(house.running()) == 8


def test_only_what_is_guaranteed_is_claimed_back_and_not_twice() -> None:
    member = Member(1000, 1, "gpu", 1)
    house = House(node("a", 8), queues=cohort())
    house.step(*(Request(f"x{n}", "x", "u", member, 0.0, preemptible=True) for n in range(6)))
    house.step(*(Request(f"y{n}", "y", "u", member, 1.0) for n in range(3)), now=2)
    ((first, (victim,)),) = house.ended_for().items()
    house.step(Request("y3", "y", "u", member, 2.0), Request("y4", "y", "u", member, 2.0), now=3)
    assert house.ended_for() == {}, "one after another: what leaves already is not counted again"
    house.step(ended=(victim,), now=4)
    assert list(house.began()) == [first]
    assert list(house.ended_for()) == ["y3"], "x is then down to its guarantee, and y up to its own"


@pytest.mark.row("T19")
def test_backfill_takes_what_ends_in_time_and_never_what_the_head_needs() -> None:
    house = House(node("a", 8), preempt=False)
    house.step(ask("long", 4, time_limit=HOUR))
    house.step(
        ask("head", 8, at=1.0, time_limit=HOUR),
        ask("too long", 2, at=2.0, time_limit=2 * HOUR),
        ask("short", 2, at=3.0, time_limit=HOUR / 2),
        ask("endless", 1, at=4.0),
        now=5,
    )
    assert house.kept()["head"].start == HOUR
    assert list(house.began()) == ["short"]
    house.step(ended=("short", "long"), now=HOUR)
    assert list(house.began()) == ["head"]


def test_what_the_head_leaves_over_anybody_may_have() -> None:
    house = House(node("a", 8), preempt=False)
    house.step(ask("long", 4, time_limit=HOUR))
    house.step(ask("head", 6, at=1.0), ask("endless", 2, at=2.0), ask("one more", 1, at=3.0), now=5)
    assert list(house.began()) == ["endless"]


def test_a_head_blocked_by_quota_keeps_quota_only() -> None:
    house = House(node("a", 100), queues=cohort(), preempt=False)
    house.step(ask("long", 2, queue="x", time_limit=HOUR), ask("endless", 4, queue="x"))
    house.step(
        ask("head", 4, at=1.0, queue="y"),
        ask("small", 1, at=2.0, queue="y"),
        ask("short", 1, at=3.0, queue="y", time_limit=60.0),
        now=5,
    )
    assert house.kept()["head"].quotas == ("cohort both",)
    assert sorted(house.began()) == ["short"]


@pytest.mark.row("T19")
def test_preemption_ends_the_fewest_lowest_newest_and_what_is_freed_is_kept() -> None:
    house = House(node("a", 4), node("b", 4))
    for n, (gpus, priority) in enumerate([(2, 1), (2, 0), (4, 1)]):
        house.step(ask(f"v{n}", gpus, priority=priority, preemptible=True), now=float(n))
    house.step(ask("urgent", 4, priority=5), now=10)
    assert house.ended_for() == {"urgent": ("v2",)}
    house.step(ask("sneaky", 1, priority=9), now=11)
    assert house.ended_for() == {"sneaky": ("v1",)}
    house.step(ended=("v2",))
    assert house.began() == {"urgent": ["b"]}


def test_of_equals_the_newest_ends() -> None:
    house = House(node("a", 2))
    house.step(ask("old", preemptible=True), now=0)
    house.step(ask("new", preemptible=True), now=1)
    house.step(ask("urgent", priority=1), now=2)
    assert house.ended_for() == {"urgent": ("new",)}


def test_nobody_is_ended_before_its_time_nor_who_did_not_agree() -> None:
    house = House(node("a", 2))
    house.step(ask("young", preemptible=True, min_run=60.0), ask("service"))
    house.step(ask("urgent", priority=1), now=59)
    assert house.ended_for() == {}
    house.step(now=60)
    assert house.ended_for() == {"urgent": ("young",)}


def test_a_gang_is_ended_whole_for_one_of_its_nodes() -> None:
    house = House(node("a"), node("b"))
    house.step(ask("gang", 8, gang=2, preemptible=True))
    house.step(ask("urgent", 8, priority=1))
    assert house.ended_for() == {"urgent": ("gang",)}


def test_room_for_a_gang_is_made_on_as_many_nodes_as_it_needs() -> None:
    house = House(node("a"), node("b"), node("c"))
    house.step(*(ask(f"v{n}", 8, preemptible=True) for n in range(2)))
    house.step(ask("gang", 8, gang=3, priority=1))
    assert house.ended_for() == {"gang": ("v0", "v1")}
    house.step(ended=("v0", "v1"))
    assert sorted(house.began()["gang"]) == ["a", "b", "c"]


def test_a_claim_that_is_wanted_no_more_is_given_to_others() -> None:
    house = House(node("a", 1))
    house.step(ask("victim", preemptible=True))
    house.step(ask("urgent", priority=1), ask("next"))
    house.step(cancelled=("urgent",), ended=("victim",))
    assert house.began() == {"next": ["a"]}


def test_a_lost_node_takes_back_the_whole_gang_and_frees_nothing_before_it_is_gone() -> None:
    house = House(node("a"), node("b"))
    house.step(ask("gang", 8, gang=2))
    house.step(ask("next", 8), lost=("a",))
    assert house.said[0] == Revoke("gang", "a")
    assert house.began() == {}
    house.step(ended=("gang",))
    assert house.began() == {"next": ["b"]}


@pytest.mark.row("T9")
def test_what_can_never_fit_is_refused_with_the_largest_that_would() -> None:
    house = House(node("a", 4), node("b", 8), queues=(Queue("default", "all", maximum={"gpu": 10}),))
    house.step(ask("wide", 8, gang=2), ask("deep", 9), ask("much", 4, gang=3), ask("lost", queue="nowhere"))
    refused = {d.id: d.largest for d in house.said if isinstance(d, Refuse)}
    assert refused["wide"] == (Member(0, 0, "gpu", 8), 1)
    assert refused["deep"] == (Member(0, 0, "gpu", 8), 1)
    assert refused["much"] == (Member(0, 0, "gpu", 4), 2)
    assert refused["lost"] is None
    assert largest(house.state, Request("npu", "default", "u", Member(0, 0, "npu", 1), 0.0)) is None


@pytest.mark.row("T19")
def test_why_says_what_is_missing_where_who_holds_it_and_when_it_begins() -> None:
    house = House(node("a", 8), node("b", 2), preempt=False)
    house.step(ask("long", 5, time_limit=HOUR))
    house.step(ask("head", 8, at=1.0), ask("next", 4, at=2.0), now=5)
    head = why(house.state, "head", 5)
    assert (head.position, head.fitting, head.wanted, head.start) == (1, 0, 1, HOUR)
    assert head.lacks == (("a", {"gpu": 5}),)
    assert head.holders == ("long",)
    behind = why(house.state, "next", 5)
    assert (behind.position, behind.kept_for, behind.start) == (2, ("head",), None)


def test_why_names_the_quota_and_who_uses_it() -> None:
    house = House(node("a", 8), queues=(Queue("default", "all", maximum={"gpu": 2}),))
    house.step(ask("mine", 2))
    house.step(ask("more"))
    told = why(house.state, "more", 1)
    assert told.quotas == (Quota("queue default", "gpu", 2, 0, 1),)
    assert (told.holders, told.fitting, told.start) == (("mine",), 1, None)


def test_why_of_one_that_preempted_says_for_whom_it_waits() -> None:
    house = House(node("a", 1), grace=30.0)
    house.step(ask("victim", preemptible=True))
    house.step(ask("urgent", priority=1), now=10)
    told = why(house.state, "urgent", 10)
    assert (told.position, told.holders, told.start) == (0, ("victim",), 40)


def test_a_state_is_used_once() -> None:
    house = House(node("a"))
    before = house.state
    house.step(ask("one"))
    with pytest.raises(RuntimeError, match="go on from the state"):
        before.snapshot()


def test_an_unknown_end_keeps_the_node_that_is_nearest() -> None:
    house = House(node("a", 8), node("b", 8), preempt=False)
    house.step(ask("x", 6), ask("y", 7))
    house.step(ask("head", 8, at=1.0), now=2)
    assert house.kept()["head"].start == math.inf
    assert house.kept()["head"].nodes == ("a",)


def test_nobody_uses_more_than_one_user_may_and_others_are_not_held_up() -> None:
    house = House(node("n", 8), queues=(Queue("default", "g", per_user={"gpu": 2}),))
    house.step(*(ask(f"u{n}", at=float(n)) for n in range(4)), ask("v0", 2, at=5.0, user="v"))
    assert set(house.began()) == {"u0", "u1", "v0"}
    (short,) = why(house.state, "u2", 0.0).quotas
    assert (short.account, short.limit, short.free) == ("owner's part of the queue default", 2, 0)
    house.step(ask("much", 3, user="w"), now=1)
    (refused,) = [one for one in house.said if isinstance(one, Refuse)]
    assert (refused.largest or (None,))[0] == ask("x", 2).member
    house.step(ended=("u0",), now=2)
    assert set(house.began()) == {"u2"}


def test_who_has_all_that_one_user_may_have_ends_only_work_of_its_own() -> None:
    house = House(node("n", 8), queues=(Queue("default", "g", per_user={"gpu": 2}),))
    house.step(ask("mine", 2, preemptible=True), ask("theirs", 2, user="v", preemptible=True))
    house.step(ask("urgent", 2, priority=5), now=1)
    assert house.ended_for() == {"urgent": ("mine",)}
