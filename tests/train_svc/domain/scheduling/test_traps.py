"""What other schedulers were caught in, as far as planning alone can show it. Each test names where it was reported."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.train_svc.domain.scheduling.cases import House, ask, node
from train_svc.domain.scheduling.values import Member, Queue, Refuse, Revoke

pytestmark = pytest.mark.row("T19")


def settle(house: House, times: int = 20) -> int:
    """Let victims go and come back to their place until nothing happens; gives how many were ended."""
    ended = 0
    for _ in range(times):
        victims = [victim for group in house.ended_for().values() for victim in group]
        ended += len(victims)
        back = [house.requests[victim] for victim in victims]
        house.step(*back, ended=tuple(victims), now=house.now + 1)
        if not victims and not house.said:
            return ended
    raise AssertionError(f"it never comes to rest: {house.said}")


def test_a_preempted_workload_does_not_preempt_back() -> None:
    """kubernetes-sigs/kueue #2821, #3779: preempt, admit, preempt, without an end."""
    queues = (
        Queue("sure", "sure", {"gpu": 3}, cohort="all"),
        Queue("a", "a", {}, cohort="all"),
        Queue("b", "b", {}, cohort="all"),
    )
    house = House(node("n", 3), queues=queues)
    for n, queue in enumerate(("a", "a", "b")):
        house.step(ask(f"{queue}{n}", queue=queue, priority=100, preemptible=True), now=float(n))
    house.step(ask("s1", 1, queue="sure", preemptible=True), now=10)
    assert settle(house) == 1
    house.step(ask("s2", 2, queue="sure", preemptible=True))
    assert settle(house) == 2
    assert house.running() == {"s1", "s2"}


def test_victims_that_go_one_by_one_are_not_let_back_in_between() -> None:
    """kubernetes-sigs/kueue #13662: the first to go got its place back while the second still went."""
    queues = tuple(Queue(name, name, {"gpu": 2}, cohort="all") for name in ("a", "b"))
    house = House(node("n", 4), queues=queues)
    for n in range(4):
        house.step(ask(f"v{n}", queue="b", priority=100, preemptible=True), now=float(n))
    house.step(ask("urgent", 2, queue="a"), now=10)
    first, second = house.ended_for()["urgent"]
    house.step(house.requests[first], ended=(first,), now=11)
    assert not house.began(), "it is not let in again, and nobody else is ended"
    assert not house.ended_for()
    house.step(house.requests[second], ended=(second,), now=12)
    assert house.began() == {"urgent": ["n"]}
    assert settle(house) == 0


def test_one_that_can_never_begin_ends_nobody_and_blocks_nobody() -> None:
    """kubernetes-sigs/kueue #6929, #6947: an inadmissible head had others ended again and again, for nothing."""
    queues = (
        Queue("a", "a", {"gpu": 3}, cohort="all", borrowing={"gpu": 0}),
        Queue("b", "b", {"gpu": 0}, cohort="all"),
    )
    house = House(node("n", 3), queues=queues)
    house.step(ask("b1", queue="b", preemptible=True), ask("b2", queue="b", preemptible=True))
    house.step(ask("never", 4, queue="a"), ask("fits", 3, queue="a"), now=1)
    assert [d.id for d in house.said if isinstance(d, Refuse)] == ["never"]
    assert house.ended_for() == {"fits": ("b1", "b2")}
    assert settle(house) == 2
    assert house.running() == {"fits"}


def test_a_head_whose_nodes_are_away_does_not_block_those_behind_it() -> None:
    """A head that nothing here can take now: what it could have used it could not use anyway."""
    house = House(node("big", 8), node("small", 2))
    house.step(nodes=(node("big", 8, cordoned=True),))
    house.step(ask("head", 8, at=0.0, priority=9), *(ask(f"s{n}", at=1.0) for n in range(2)), now=2)
    assert set(house.began()) == {"s0", "s1"}
    house.step(nodes=(node("big", 8),))
    assert house.began() == {"head": ["big"]}


def test_a_gang_whose_node_comes_back_begins_whole_again() -> None:
    """Volcano and others: a gang stuck below its minimum, some of it running, once a node came back."""
    house = House(node("a"), node("b"))
    house.step(ask("gang", 8, gang=2, preemptible=True))
    house.step(lost=("b",), now=1)
    assert house.said[0] == Revoke("gang", "b")
    house.step(nodes=(node("b"),), now=2)
    assert house.began() == {}, "not before it is gone from the other node"
    house.step(house.requests["gang"], ended=("gang",), now=3)
    assert sorted(house.began()["gang"]) == ["a", "b"]


def test_a_replacement_is_not_sent_back_to_the_node_where_it_failed() -> None:
    """While any other node could ever take it, it waits for that one; where none could, it may go there again."""
    house = House(node("good", 1), node("bad", 8))
    house.step(ask("other"))
    house.step(ask("again", avoid=frozenset({"bad"})))
    assert house.began() == {}
    house.step(ask("only there", 8, avoid=frozenset({"bad"})))
    assert house.began() == {"only there": ["bad"]}


def test_a_node_that_takes_nothing_new_ends_nothing_that_is_well() -> None:
    """What is not known about a node is no reason to take anything from it: only a lost one revokes."""
    house = House(node("a", 1))
    house.step(ask("healthy"))
    house.step(nodes=(node("a", 1, cordoned=True),))
    assert house.said == ()
    assert house.running() == {"healthy"}


def test_a_claim_on_a_node_that_is_lost_is_made_anew_elsewhere() -> None:
    house = House(node("a", 1), node("b", 1))
    house.step(ask("va", preemptible=True), ask("vb", preemptible=True))
    house.step(ask("urgent", priority=1))
    (victim,) = house.ended_for()["urgent"]
    (lost,) = [p.node for p in house.state.books.running[victim].placements]
    house.step(lost=(lost,))
    assert len(house.ended_for()["urgent"]) == 1
    assert house.ended_for()["urgent"] != (victim,)
    assert settle(house) == 1
    assert "urgent" in house.running()


def test_only_who_uses_what_its_queue_borrowed_has_to_give_it_back() -> None:
    """Found by the long run: a queue that had borrowed CPUs lost GPUs that were guaranteed to it, took them back from a
    more urgent one that had borrowed those, which took its place in its own queue again: three went round for ever."""
    queues = (
        Queue("sure", "g1", {"gpu": 4, "cpu": 8000}, cohort="c"),
        Queue("half", "g2", {"gpu": 3, "cpu": 4000}, cohort="c"),
    )
    house = House(node("n", 4, cpu=12_000), queues=queues)
    cpus = replace(ask("cpus", queue="sure", preemptible=True), member=Member(9000))
    house.step(cpus, now=0)
    house.step(ask("gpus", 4, queue="sure", preemptible=True), now=1)
    house.step(replace(ask("claims", 3, queue="half"), member=Member(500, 0, "gpu", 3)), now=2)
    assert house.ended_for() == {}, "sure has borrowed CPUs, and its GPUs are its own"
    house.step(cancelled=("claims",), now=3)
    house.step(replace(ask("claims cpu", 0, queue="half"), member=Member(4000)), now=4)
    assert house.ended_for() == {"claims cpu": ("cpus",)}
