"""The inventory: which nodes and devices there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True)
class Device:
    """One accelerator. `memory` in bytes; a `simulated` one is said to be so wherever it shows."""

    id: str
    kind: Literal["gpu", "npu"]
    model: str
    memory: int = 0
    simulated: bool = False


@dataclass(frozen=True)
class Node:
    """One machine: `cpu` in cores, `memory` in bytes."""

    name: str
    cpu: float
    memory: int
    devices: tuple[Device, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


class Inventory(Protocol):
    """Says which nodes and devices there are now."""

    async def nodes(self) -> Sequence[Node]:
        """All nodes, by name."""
        ...
