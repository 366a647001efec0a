"""What bodies of several kinds have in common."""

from __future__ import annotations

from collections.abc import Container
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from common.contracts.shared import Placement


class Asked(BaseModel):
    """A body that somebody sends: a field that is not known is a fault and not a silent loss."""

    model_config = ConfigDict(extra="forbid")


class ResourcesOut(BaseModel):
    """What each node of it gets: `spec` where one was named. CPU in cores, memory in bytes. `selectors` are labels that
    nodes must have, `cluster` where it must be, if anywhere."""

    spec: str | None
    cpu: float
    memory: int
    accelerator: str | None
    model: str | None
    count: int
    nodes: int
    selectors: dict[str, str] = Field(default_factory=dict)
    cluster: str | None = None


class PlacementOut(Placement):
    """Where a member runs; `simulated` where its devices are declared only."""

    simulated: bool

    @classmethod
    def of(cls, place: Placement, simulated: Container[tuple[str, str]]) -> Self:
        """As it is told; `simulated` are the devices, by node, that are declared only."""
        declared = any((place.node, device) in simulated for device in place.devices)
        return cls(node=place.node, devices=place.devices, simulated=declared)
