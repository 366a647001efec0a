"""The inventory: which nodes and devices there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from common.kernel.accelerators import BUILT_IN

CLUSTER = "default"
"""The cluster of nodes that name none."""

_RESOURCES = {one.kind: one.resource for one in BUILT_IN}


@dataclass(frozen=True)
class Device:
    """One accelerator: `id` is its kind, `-` and what its vendor's libraries call it. `memory` in bytes; `resource` is
    the vendor's name of its kind; a `simulated` one is said to be so wherever it shows."""

    id: str
    kind: str
    model: str
    memory: int = 0
    simulated: bool = False
    resource: str = ""

    def __post_init__(self) -> None:
        """A built-in kind's vendor need not be named."""
        if not self.resource:
            object.__setattr__(self, "resource", _RESOURCES.get(self.kind, ""))


@dataclass(frozen=True)
class Node:
    """One machine of a cluster: `cpu` in cores, `memory` in bytes. `domain` names what its fast interconnect spans, and
    is empty where nothing is known; a `simulated` one is declared only, and nothing can really run on it."""

    name: str
    cpu: float
    memory: int
    devices: tuple[Device, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    cluster: str = CLUSTER
    domain: str = ""
    simulated: bool = False


class Inventory(Protocol):
    """Says which nodes and devices there are now."""

    async def nodes(self) -> Sequence[Node]:
        """All nodes, by name."""
        ...


@runtime_checkable
class Doubtful(Protocol):
    """An inventory that can also say what was wrong when it last looked."""

    @property
    def problems(self) -> Sequence[str]:
        """In words for an operator; where there are some, what it tells may be old, or a part."""
        ...


def problems_of(inventory: Inventory) -> tuple[str, ...]:
    """What was wrong when it last looked, where it can say so."""
    return tuple(inventory.problems) if isinstance(inventory, Doubtful) else ()
