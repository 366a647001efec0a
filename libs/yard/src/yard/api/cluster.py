"""What runs where: nodes and allocations."""

from __future__ import annotations

from yard.api.group import Shown
from yard.http import Http
from yard.shapes import Allocation, Node


class Nodes:
    """`/nodes`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self) -> list[Node]:
        """Every node, its devices and what of it is free."""
        return list(self._http.pages("nodes"))


class Allocations(Shown[Allocation]):
    """`/allocations`."""

    collection, noun = "allocations", "allocation"
