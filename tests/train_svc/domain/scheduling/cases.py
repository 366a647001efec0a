"""Small clusters and requests to plan with."""

from __future__ import annotations

from typing import Any

from common.ports.inventory import Device
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
    Request,
    Reserve,
    Snapshot,
)

ONE_QUEUE = (Queue("default", "everybody"),)


def node(name: str, gpus: int = 8, *, domain: str = "", cpu: int = 64_000, **more: Any) -> Node:
    devices = tuple(Device(f"gpu-{n}", "gpu", "H200", simulated=True) for n in range(gpus))
    return Node(name, cpu, 1 << 40, devices, domain=domain, **more)


def ask(name: str, gpus: int = 1, at: float = 0.0, *, queue: str = "default", user: str = "u", **more: Any) -> Request:
    return Request(name, queue, user, Member(0, 0, "gpu", gpus) if gpus else Member(1000), at, **more)


class House:
    """A planner with its state, that remembers every decision."""

    def __init__(self, *nodes: Node, queues: tuple[Queue, ...] = ONE_QUEUE, **policy: Any) -> None:
        self.state = State.of(Snapshot(Policy(**policy), tuple(nodes), queues))
        self.requests: dict[str, Request] = {}
        self.said: tuple[Decision, ...] = ()
        self.now = 0.0

    def step(self, *submitted: Request, now: float | None = None, **delta: Any) -> tuple[Decision, ...]:
        self.now = self.now if now is None else now
        self.requests.update({request.id: request for request in submitted})
        self.state, self.said = plan(self.state, Delta(submitted, **delta), self.now)
        return self.said

    def began(self) -> dict[str, list[str]]:
        """Who began in the last step, and on which nodes."""
        return {d.id: [p.node for p in d.placements] for d in self.said if isinstance(d, Admit)}

    def ended_for(self) -> dict[str, tuple[str, ...]]:
        """Who was told to end in the last step, by whom it was for."""
        return {d.request: d.victims for d in self.said if isinstance(d, Preempt)}

    def kept(self) -> dict[str, Reserve]:
        """The reservations that the last step told of."""
        return {d.id: d for d in self.said if isinstance(d, Reserve)}

    def running(self) -> set[str]:
        return set(self.state.books.running)
