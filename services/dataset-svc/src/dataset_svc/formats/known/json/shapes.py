"""What is drawn on an image, whichever file says so: the one model that COCO's and LabelMe's files become."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_LARGEST = 1e7
TOLERANCE = 1.0
"""Pixels by which something may reach over an image's edge: tools round differently."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One object. `polygons` are lists x, y, x, y … in pixels; `mask` says that it has an outline of any kind."""

    name: str
    label: str
    box: Box
    polygons: tuple[tuple[float, ...], ...] = ()
    mask: bool = False
    crowd: bool = False

    def as_json(self) -> dict[str, Any]:
        """As sample pages show it; the box as left, top, width and height, as COCO has it."""
        left, top, right, bottom = self.box
        plain = {"id": self.name, "class": self.label, "box": [left, top, right - left, bottom - top]}
        more = {"polygons": self.polygons} if self.polygons else {}
        return {**plain, **more, **({"crowd": True} if self.crowd else {})}


def is_number(value: Any) -> bool:
    """Whether it is a finite number of a size that pixels have."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def extent(coordinates: Sequence[float]) -> Box:
    """The box around x, y, x, y …"""
    xs, ys = coordinates[0::2], coordinates[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def around(boxes: Sequence[Box]) -> Box:
    """The box around boxes."""
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def reaches_over(box: Box, width: int, height: int) -> float:
    """By how many pixels the box reaches over the edge of an image; 0 where it doesn't."""
    left, top, right, bottom = box
    return max(0.0, -left, -top, right - width, bottom - height)


def shown_box(box: Box) -> str:
    """A box for people."""
    return ", ".join(f"{side:g}" for side in box if math.isfinite(side))
