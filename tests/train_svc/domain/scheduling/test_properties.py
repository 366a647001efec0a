"""What holds whatever happens: the planner against a model that counts by itself, for hundreds of steps.

The model knows nothing of indices: it adds up devices, CPU and quotas from the decisions alone.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.ports.inventory import Device
from train_svc.domain.scheduling.explaining import why
from train_svc.domain.scheduling.planner import State, plan
from train_svc.domain.scheduling.values import (
    Admit,
    Decision,
    Delta,
    Member,
    Node,
    Policy,
    Preempt,
    Queue,
    Refuse,
    Request,
    Reserve,
    Revoke,
    Snapshot,
    demand,
)

pytestmark = pytest.mark.row("T19")

QUEUES = (
    Queue("sure", "g1", {"gpu": 4, "cpu": 8000}, cohort="c"),
    Queue("half", "g2", {"gpu": 3, "cpu": 4000}, cohort="c", borrowing={"gpu": 4}, per_user={"cpu": 5000}),
    Queue("none", "g2", {}, cohort="c", weight=2.0),
    Queue("apart", "g3", maximum={"gpu": 5}, per_user={"gpu": 4}),
)
MODELS = ("A100", "H200")


def a_node(number: int, gpus: int) -> Node:
    devices = tuple(Device(f"gpu-{n}", "gpu", MODELS[(n + number) % 2 if number % 3 == 0 else 0]) for n in range(gpus))
    return Node(f"n{number}", 4000 * (1 + number % 2), 16, devices, {"zone": str(number % 2)}, f"d{number // 2}")


def a_request(draw, number: int, now: float) -> Request:
    gpus = draw(st.sampled_from([0, 1, 1, 2, 4]))
    member = Member(
        draw(st.sampled_from([0, 500, 1000, 3000])),
        draw(st.integers(0, 6)),
        "gpu" if gpus else None,
        gpus,
        draw(st.sampled_from([None, None, *MODELS])) if gpus else None,
    )
    return Request(
        f"r{number:06}",
        draw(st.sampled_from([queue.name for queue in QUEUES])),
        draw(st.sampled_from("uvw")),
        member,
        now,
        gang=draw(st.sampled_from([1, 1, 1, 2, 3])),
        priority=draw(st.sampled_from([0, 0, 5, 9])),
        selectors=draw(st.sampled_from([(), (), (("zone", "1"),)])),
        anti_affinity=draw(st.sampled_from([None, None, None, "svc"])),
        avoid=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"n0"})])),
        preemptible=draw(st.booleans()),
        min_run=draw(st.sampled_from([0.0, 30.0])),
        time_limit=draw(st.sampled_from([None, 20.0, 60.0, 300.0])),
    )


class Model:
    """What must be true, counted from decisions alone."""

    def __init__(self, nodes: tuple[Node, ...]) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.lost: set[str] = set()
        self.requests: dict[str, Request] = {}
        self.waiting: set[str] = set()
        self.running: dict[str, Admit] = {}
        self.started: dict[str, float] = {}
        self.leaving: set[str] = set()
        self.claims: dict[str, set[str]] = {}
        self.perhaps: set[str] = set()
        """Who had a claim when a node changed: whether it has it still depends on where that was."""
        self.promised: dict[str, float] = {}

    def hear(self, decisions: tuple[Decision, ...], now: float) -> None:
        for decision in decisions:
            match decision:
                case Admit(id=name):
                    assert name in self.waiting, "only who waits begins"
                    assert not self.claims.get(name), "nobody begins before its victims are gone"
                    self.waiting.discard(name)
                    self.claims.pop(name, None)
                    self.perhaps.discard(name)
                    self.running[name], self.started[name] = decision, now
                    self.check_placements(decision)
                case Preempt():
                    self.check_preemption(decision, now)
                    self.leaving.update(decision.victims)
                    self.claims[decision.request] = set(decision.victims)
                case Refuse(id=name):
                    self.waiting.discard(name)
                case Revoke(id=name):
                    self.leaving.add(name)
                case Reserve():
                    pass
        self.check()

    def check_placements(self, admitted: Admit) -> None:
        request = self.requests[admitted.id]
        names = [placement.node for placement in admitted.placements]
        assert len(set(names)) == len(names) == request.gang, "a gang begins whole, a node for each"
        for placement in admitted.placements:
            node = self.nodes[placement.node]
            assert not node.cordoned
            assert placement.node not in self.lost
            assert all(node.labels.get(key) == value for key, value in request.selectors)
            models = {device.id: device.model for device in node.devices}
            assert len(placement.devices) == request.member.devices
            assert {models[device] for device in placement.devices} <= {request.member.model or m for m in MODELS}

    def check_preemption(self, decision: Preempt, now: float) -> None:
        by = self.requests[decision.request]
        assert decision.victims
        for victim in decision.victims:
            request = self.requests[victim]
            assert victim in self.running
            assert victim not in self.leaving, "nobody is ended twice"
            assert request.preemptible
            assert self.started[victim] + request.min_run <= now
            if request.queue == by.queue:
                assert request.priority < by.priority
            else:
                assert {request.queue, by.queue} <= {"sure", "half", "none"}
                assert self.over_guarantee(request, by), "only what is borrowed is claimed back, from who uses it"

    def over_guarantee(self, victim: Request, by: Request) -> bool:
        name = victim.queue
        (queue,) = (queue for queue in QUEUES if queue.name == name)
        used: Counter = Counter()
        for running in self.running.keys() - self.leaving:
            request = self.requests[running]
            if request.queue == name:
                used.update(demand(request.member, request.gang))
        for claim in self.claims.keys() | (self.perhaps & self.waiting):
            if self.requests[claim].queue == name:
                used.update(demand(self.requests[claim].member, self.requests[claim].gang))
        wanted, freed = demand(by.member, by.gang), demand(victim.member, victim.gang)
        both = [r for r in ("gpu", "cpu") if wanted.get(r) and freed.get(r)]
        return any(used[r] > queue.guaranteed.get(r, 0) for r in both)

    def check(self) -> None:
        used: Counter = Counter()
        cpu: Counter = Counter()
        memory: Counter = Counter()
        keys: Counter = Counter()
        quota: dict[str, Counter] = {queue.name: Counter() for queue in QUEUES}
        parts: dict[tuple[str, str], Counter] = {}
        for name, admitted in self.running.items():
            request = self.requests[name]
            quota[request.queue].update(demand(request.member, request.gang))
            parts.setdefault((request.queue, request.user), Counter()).update(demand(request.member, request.gang))
            for placement in admitted.placements:
                used.update((placement.node, device) for device in placement.devices)
                cpu[placement.node] += request.member.cpu
                memory[placement.node] += request.member.memory
                if request.anti_affinity:
                    keys[placement.node, request.anti_affinity] += 1
        assert all(times == 1 for times in used.values()), "no device twice"
        assert all(times == 1 for times in keys.values()), "one replica a node"
        assert all(n <= self.nodes[name].cpu for name, n in cpu.items())
        assert all(n <= self.nodes[name].memory for name, n in memory.items())
        for queue in QUEUES:
            for (name, _), part in parts.items():
                assert name != queue.name or all(part[r] <= limit for r, limit in queue.per_user.items())
            for resource, limit in queue.maximum.items():
                assert quota[queue.name][resource] <= limit
            for resource, above in (queue.borrowing or {}).items():
                assert quota[queue.name][resource] <= queue.guaranteed.get(resource, 0) + above
        for resource in ("gpu", "cpu"):
            most = sum(queue.guaranteed.get(resource, 0) for queue in QUEUES if queue.cohort)
            assert sum(quota[queue.name][resource] for queue in QUEUES if queue.cohort) <= most


class Scheduling(RuleBasedStateMachine):
    """Anything may happen in any order; every plan is also made from scratch, and must be the same."""

    steps: ClassVar[int] = 0
    """How many there were in all, over every run."""

    @initialize(sizes=st.lists(st.sampled_from([0, 1, 2, 4]), min_size=1, max_size=5), data=st.data())
    def begin(self, sizes: list[int], data) -> None:
        nodes = tuple(a_node(number, gpus) for number, gpus in enumerate(sizes))
        policy = Policy(ageing=50.0, starving=500.0, reclaim=data.draw(st.sampled_from(["any", "lower", "never"])))
        self.model = Model(nodes)
        self.state = State.of(Snapshot(policy, nodes, QUEUES))
        self.now, self.number = 0.0, 0

    def step(self, **delta) -> tuple[Decision, ...]:
        change = Delta(**delta)
        snapshot = self.state.snapshot()
        afresh, expected = plan(State.of(snapshot), change, self.now)
        self.state, decisions = plan(self.state, change, self.now)
        assert decisions == expected, "incremental is from scratch"
        assert self.state.snapshot() == afresh.snapshot()
        self.model.hear(decisions, self.now)
        return decisions

    @rule(data=st.data(), many=st.integers(1, 4))
    def submit(self, data, many: int) -> None:
        requests = []
        for _ in range(many):
            self.number += 1
            requests.append(a_request(data.draw, self.number, self.now))
        self.model.requests.update({request.id: request for request in requests})
        self.model.waiting.update(request.id for request in requests)
        self.step(submitted=tuple(requests))

    @precondition(lambda self: self.model.running)
    @rule(data=st.data(), back=st.booleans())
    def end(self, data, back: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.running)))
        self._end(name, back=back)

    def _end(self, name: str, *, back: bool) -> tuple[Decision, ...]:
        """It has ended; one that was preempted or revoked may come back to its place."""
        back = back and name in self.model.leaving
        self.model.running.pop(name)
        self.model.leaving.discard(name)
        for claim in self.model.claims.values():
            claim.discard(name)
        if back:
            self.model.waiting.add(name)
        return self.step(ended=(name,), submitted=(self.model.requests[name],) if back else ())

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def cancel(self, data) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.waiting)))
        self.model.waiting.discard(name)
        self.model.claims.pop(name, None)
        self.step(cancelled=(name,))

    @rule(seconds=st.sampled_from([1.0, 10.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.step()

    @rule(data=st.data(), what=st.sampled_from(["cordon", "lose", "back", "new"]))
    def change_nodes(self, data, what: str) -> None:
        node = self.model.nodes[data.draw(st.sampled_from(sorted(self.model.nodes)))]
        if what == "lose":
            self.model.lost.add(node.name)
            self.forget_claims()
            self.step(lost=(node.name,))
            return
        if what == "new" and len(self.model.nodes) < 7:
            node = a_node(len(self.model.nodes), 2)
        changed = replace(node, cordoned=what == "cordon")
        self.model.lost.discard(node.name)
        self.model.nodes[node.name] = changed
        self.forget_claims()
        self.step(nodes=(changed,))

    def forget_claims(self) -> None:
        """A claim on a node that is away is dropped: its owner may begin elsewhere, or claim anew."""
        self.model.perhaps |= self.model.claims.keys()
        self.model.claims = {}

    @invariant()
    def nothing_more_to_do(self) -> None:
        """Planning on soon decides nothing more, and every one that waits is told why.

        Not at once: whoever began changed the shares, and so who is the first of those that wait.
        """
        if not hasattr(self, "state"):
            return
        Scheduling.steps += 1
        assert any(not self.step() for _ in range(20)), "it comes to rest"
        for name in sorted(self.state.books.lines.requests)[:3]:
            told = why(self.state, name, self.now)
            assert 1 <= told.position <= len(self.model.waiting)

    def teardown(self) -> None:
        """In the end everybody who can begin has begun: nothing starves, and no preemption goes round."""
        if not hasattr(self, "state"):
            return
        nodes = tuple(replace(node, cordoned=False) for node in self.model.nodes.values())
        self.model.nodes = {node.name: node for node in nodes}
        self.forget_claims()
        self.model.lost.clear()
        self.step(nodes=nodes)
        for _ in range(4 * (len(self.model.running) + len(self.model.waiting)) + 20):
            if not self.model.running and not self.model.waiting:
                return
            self.now += 31.0
            leaving = sorted(self.model.leaving & set(self.model.running))
            oldest = sorted(self.model.running, key=lambda name: (self.model.started[name], name))
            for name in leaving or oldest[:1]:
                self._end(name, back=True)
        raise AssertionError(f"these never begin or end: {self.model.waiting} {self.model.running}")


def check(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Scheduling,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_whatever_happens() -> None:
    check(12, 30)


@pytest.mark.faults
def test_whatever_happens_for_a_hundred_thousand_steps() -> None:
    """Steps are counted, since many a run that is drawn is short."""
    wanted = Scheduling.steps + int(os.environ.get("SCHEDULING_STEPS", "100000"))
    while Scheduling.steps < wanted:
        check(100, 100)
    print(f"{Scheduling.steps} steps")
