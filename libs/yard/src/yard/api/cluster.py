"""What runs where: allocations."""

from __future__ import annotations

from yard.api.group import Shown
from yard.shapes import Allocation


class Allocations(Shown[Allocation]):
    """`/allocations`."""

    collection, noun = "allocations", "allocation"
