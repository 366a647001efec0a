"""Between how capacity is asked for and told (cores, bytes, kinds) and the whole numbers that the planner counts in."""

from __future__ import annotations

import math
from collections.abc import Iterable

from common.contracts.shared import Resources
from common.ports import inventory
from train_svc.domain.errors import NeverFits
from train_svc.domain.scheduling import fitting
from train_svc.domain.scheduling.planner import State
from train_svc.domain.scheduling.values import Member, Node, Queue, Request, Snapshot

DEFAULT_QUEUE = "default"
"""Where whoever has no queue of a group waits."""

CLUSTER = "modelyard/cluster"
"""The label under which a node's cluster is one selector among others."""

MILLI = 1000


def member_of(resources: Resources) -> Member:
    """What one member takes of its node."""
    cpu = round(resources.cpu * MILLI)
    if not resources.count:
        return Member(cpu, resources.memory)
    return Member(cpu, resources.memory, resources.accelerator, resources.count, resources.model)


def selectors_of(resources: Resources) -> tuple[tuple[str, str], ...]:
    """The labels that its nodes must have, the cluster among them."""
    cluster = {CLUSTER: resources.cluster} if resources.cluster else {}
    return tuple(sorted({**resources.selectors, **cluster}.items()))


def node_of(node: inventory.Node, *, cordoned: bool = False) -> Node:
    """A machine as the planner sees it; `cpu` is what may be promised of it, overcommitted already."""
    return Node(
        node.name,
        math.floor(node.cpu * MILLI),
        node.memory,
        node.devices,
        {**node.labels, CLUSTER: node.cluster},
        f"{node.cluster}/{node.domain}",
        cordoned,
    )


def offered(asked: Resources, largest: tuple[Member, int] | None) -> Resources | None:
    """The largest that would fit, in the words of who asked."""
    if largest is None:
        return None
    member, gang = largest
    less = {"cpu": member.cpu / MILLI, "memory": member.memory, "count": member.devices, "nodes": gang}
    return asked.model_copy(update=less)


def never_fits(state: State, resources: Resources, queue: str = DEFAULT_QUEUE) -> NeverFits | None:
    """Why that could never begin in that queue, with the largest that could; None where it can."""
    request = Request("", queue, "", member_of(resources), 0.0, gang=resources.nodes, selectors=selectors_of(resources))
    reason = fitting.refusal(state.books, request)
    if reason is None:
        return None
    return NeverFits(resources, offered(resources, fitting.largest(state.books, request)), reason)


def empty_state(nodes: Iterable[inventory.Node], queues: Iterable[Queue] = ()) -> State:
    """These nodes with nothing on them, and the default queue where no other is named."""
    known = tuple(queues) or (Queue(DEFAULT_QUEUE, DEFAULT_QUEUE),)
    return State.of(Snapshot(nodes=tuple(node_of(node) for node in nodes), queues=known))
