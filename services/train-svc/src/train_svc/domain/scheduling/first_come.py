"""Who runs next: a function over snapshots, with no clock, no database and no chance in it.

First come, first served: the first that waits and does not fit holds back all behind it, so nobody starves. CPU,
memory and every single device are accounted exactly; a gang gets a node a member, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.contracts.shared import Placement, Resources
from common.ports.inventory import Device, Node

_SLACK = 1e-9
"""Cores are sums of decimal fractions: three times 0.1 must still fit into 0.3."""


@dataclass(frozen=True)
class Ask:
    """A request that waits. Lower `number` came earlier."""

    id: str
    number: int
    resources: Resources


@dataclass(frozen=True)
class Held:
    """A promise that stands: what each member uses, and where the members are."""

    id: str
    resources: Resources
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class State:
    """Everything a plan follows from. A node's `cpu` is what may be promised of it, overcommitment included."""

    nodes: tuple[Node, ...] = ()
    held: tuple[Held, ...] = ()
    waiting: tuple[Ask, ...] = ()


@dataclass(frozen=True)
class Grant:
    """A decision: that allocation gets these placements."""

    id: str
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class Free:
    """What is left of one node. `cpu` in cores, `memory` in bytes."""

    name: str
    cpu: float
    memory: int
    devices: tuple[Device, ...]

    def less(self, resources: Resources, devices: Sequence[str]) -> Free:
        """What is left once a member has its share."""
        left = tuple(device for device in self.devices if device.id not in devices)
        return Free(self.name, self.cpu - resources.cpu, self.memory - resources.memory, left)

    def matching(self, resources: Resources) -> tuple[Device, ...]:
        """The free devices of the kind and model that are asked for, lowest first."""
        right = [
            device
            for device in self.devices
            if device.kind == resources.accelerator and resources.model in (None, device.model)
        ]
        return tuple(sorted(right, key=lambda device: _natural(device.id)))

    def fits(self, resources: Resources) -> bool:
        """Whether one member fits."""
        enough = resources.cpu <= self.cpu + _SLACK and resources.memory <= self.memory
        return enough and len(self.matching(resources)) >= resources.count


def _natural(text: str) -> list[tuple[int, str]]:
    """`gpu-2` before `gpu-10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def free(nodes: Iterable[Node], held: Iterable[Held]) -> tuple[Free, ...]:
    """What is left of every node. What is promised on a node that vanished is kept account of nowhere."""
    left = {node.name: Free(node.name, node.cpu, node.memory, node.devices) for node in nodes}
    for promise in held:
        for placement in promise.placements:
            if placement.node in left:
                left[placement.node] = left[placement.node].less(promise.resources, placement.devices)
    return tuple(left.values())


def plan(state: State) -> tuple[Grant, ...]:
    """Whom to grant now, in order of arrival, up to the first that does not fit."""
    left = free(state.nodes, state.held)
    grants: list[Grant] = []
    for ask in sorted(state.waiting, key=lambda ask: ask.number):
        placements = place(ask.resources, left)
        if placements is None:
            break
        left = _without(left, ask.resources, placements)
        grants.append(Grant(ask.id, placements))
    return tuple(grants)


def place(resources: Resources, left: Sequence[Free]) -> tuple[Placement, ...] | None:
    """Where the members go: each on a node of its own, the tightest fits first, so that large holes stay whole."""
    fitting = sorted(
        (node for node in left if node.fits(resources)),
        key=lambda node: (len(node.devices), node.cpu, node.memory, _natural(node.name)),
    )
    if len(fitting) < resources.nodes:
        return None
    return tuple(
        Placement(node=node.name, devices=tuple(d.id for d in node.matching(resources)[: resources.count]))
        for node in fitting[: resources.nodes]
    )


def _without(left: tuple[Free, ...], resources: Resources, placements: Sequence[Placement]) -> tuple[Free, ...]:
    taken = {placement.node: placement.devices for placement in placements}
    return tuple(node.less(resources, taken[node.name]) if node.name in taken else node for node in left)


def ever_fits(resources: Resources, nodes: Sequence[Node]) -> bool:
    """Whether it would fit into the empty cluster."""
    return place(resources, free(nodes, ())) is not None


def largest(resources: Resources, nodes: Sequence[Node]) -> Resources | None:
    """The largest request of that kind that would fit; None where there is no such device, or no node at all.

    Of the nodes it takes those with the most devices of the kind, then CPUs, then memory.
    """
    empty = sorted(free(nodes, ()), key=lambda n: (len(n.matching(resources)), n.cpu, n.memory), reverse=True)
    usable = [node for node in empty if node.matching(resources)] if resources.count else empty
    if not usable:
        return None
    members = usable[: resources.nodes]
    return resources.model_copy(
        update={
            "cpu": min(resources.cpu, *(node.cpu for node in members)),
            "memory": min(resources.memory, *(node.memory for node in members)),
            "count": min(resources.count, *(len(node.matching(resources)) for node in members)),
            "nodes": len(members),
        }
    )
