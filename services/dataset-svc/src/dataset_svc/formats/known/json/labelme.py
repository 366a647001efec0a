"""One LabelMe file: the shapes of one image. Source: labelme, label_file.py and docs (shape types)."""

from __future__ import annotations

import math
import posixpath
from typing import Any

from dataset_svc.formats.known.json.reading import Content
from dataset_svc.formats.known.json.shapes import Box, Shape, extent, is_number
from dataset_svc.formats.known.json.shelf import Shelf
from dataset_svc.formats.labels import label_fault
from dataset_svc.formats.port import Sink

_AREAS = {"polygon": 3, "rectangle": 2, "circle": 2}
"""Shape type → points that it needs."""
_NO_AREAS = frozenset({"line", "linestrip", "point", "points"})


class LabelMeFile:
    """Checks one file."""

    def __init__(self, path: str, sink: Sink, *, masks: bool, content: Content) -> None:
        self.path, self._sink, self._masks = path, sink, masks
        self._image = content.get("imagePath")
        self._width, self._height = content.get("imageWidth"), content.get("imageHeight")
        self._shapes = self._read(content.get("shapes"))

    def close(self, shelf: Shelf) -> dict[str, tuple[int, int, list[Shape]]]:
        """Find the image; gives its size as the file says it, and its shapes."""
        said = self._image if isinstance(self._image, str) and self._image else posixpath.basename(self.path)
        path = shelf.find(said, self.path)
        if path is None:
            self._sink.error("missing_file", self.path, f"imagePath: {said!r} is not in the archive.")
            return {}
        return {path: (_side(self._width), _side(self._height), self._shapes)}

    def _read(self, shapes: Any) -> list[Shape]:
        if not isinstance(shapes, list):
            self._sink.error("bad_entry", self.path, '"shapes" is no list.')
            return []
        return [shape for number, entry in enumerate(shapes) if (shape := self._shape(number, entry)) is not None]

    def _shape(self, number: int, entry: Any) -> Shape | None:
        """One shape, or None with a fault."""
        if not isinstance(entry, dict):
            return self._wrong(number, "bad_entry", "it is no object")
        label: Any = entry.get("label")
        kind = entry.get("shape_type", "polygon")
        if fault := label_fault(label):
            return self._wrong(number, "bad_label", f"its label {fault}")
        if not isinstance(kind, str):
            return self._wrong(number, "unknown_shape", "its shape_type is no string")
        if kind in _NO_AREAS:
            self._sink.warning("no_area", self.path, f"shapes[{number}]: a {kind} encloses nothing, and is not used.")
            return None
        if kind not in _AREAS:
            return self._wrong(number, "unknown_shape", f"its shape_type {kind[:40]!r} is none of: {', '.join(_AREAS)}")
        points = _points(entry.get("points"))
        if points is None or len(points) < 2 * _AREAS[kind]:
            return self._wrong(number, "bad_polygon", f"its points are not {_AREAS[kind]} or more [x, y] in pixels")
        if self._masks and kind == "rectangle":
            return self._wrong(number, "no_mask", "segmentation needs an outline, and a rectangle is none")
        box = _circle(points) if kind == "circle" else extent(points)
        if box[0] >= box[2] or box[1] >= box[3]:
            return self._wrong(number, "bad_box", "it encloses nothing")
        return Shape(
            str(number), label.strip(), box, (tuple(points),) if kind == "polygon" else (), kind != "rectangle"
        )

    def _wrong(self, number: int, code: str, reason: str) -> Shape | None:
        """Tell a fault; gives None, which is what is left of the shape."""
        self._sink.error(code, self.path, f"shapes[{number}]: {reason}.")
        return None


def _side(said: Any) -> int:
    """Width or height in pixels, 0 where it is none."""
    return said if type(said) is int and is_number(said) and said > 0 else 0


def _points(given: Any) -> list[float] | None:
    """x, y, x, y …, or None where they are no points."""
    if not isinstance(given, list) or not all(isinstance(point, list) and len(point) == 2 for point in given):
        return None
    flat = [value for point in given for value in point]
    return flat if all(is_number(value) for value in flat) else None


def _circle(points: list[float]) -> Box:
    """The box around a circle, which is given by its centre and a point on it."""
    x, y, radius = points[0], points[1], math.dist(points[:2], points[2:4])
    return x - radius, y - radius, x + radius, y + radius
