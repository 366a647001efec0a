"""One COCO file: its three sections taken entry by entry, in whatever order they come, and held together at its end."""

from __future__ import annotations

from typing import Any, TypeGuard

import orjson

from dataset_svc.formats.known.json import rle
from dataset_svc.formats.known.json.shapes import Box, Shape, around, extent, is_number
from dataset_svc.formats.known.json.shelf import Shelf
from dataset_svc.formats.labels import label_fault
from dataset_svc.formats.packing import packed
from dataset_svc.formats.port import Sink

SECTIONS = ("images", "annotations", "categories")


class CocoFile:
    """Checks one file. Of each annotation only what is shown later is kept; `outlines` says whether these are, and
    without `boxes` an annotation is just the class of its image. `sections` are those that have begun."""

    def __init__(self, path: str, sink: Sink, *, masks: bool, outlines: bool, boxes: bool = True) -> None:
        self.path, self._sink, self._masks, self._outlines = path, sink, masks, outlines
        self._boxes = boxes
        self._images: dict[int, tuple[str, int, int]] = {}
        self._categories: dict[int, str] = {}
        self._names: set[str] = set()
        self._ids: set[int] = set()
        self._shapes: dict[int, list[bytes]] = {}
        self.sections: set[str] = set()
        self._where = ""

    def begin(self, section: str) -> None:
        """A section begins."""
        self.sections.add(section)

    def take(self, section: str, number: int, entry: Any) -> None:
        """One entry of a section, `number` from 0."""
        self._where = f"{section}[{number}]"
        if not isinstance(entry, dict) or not is_id(entry.get("id")):
            return self.error("bad_entry", 'it is no object with an "id" that is a whole number')
        self._where += f" (id {entry['id']})"
        if section == "images":
            return self._image(entry)
        if section == "categories":
            return self._category(entry)
        return self._annotation(entry)

    def close(self, shelf: Shelf) -> dict[str, tuple[int, int, list[Shape]]]:
        """Hold everything together; gives for each image of the archive its size and its shapes."""
        for section in SECTIONS:
            if section not in self.sections:
                self._where = section
                self.error("missing_section", "there is no such list in this COCO file")
        found: dict[str, tuple[int, int, list[Shape]]] = {}
        for image_id in self._shapes.keys() - self._images.keys():
            for kept in self._shapes[image_id]:
                self._where = f"annotation {orjson.loads(kept)[0]}"
                self.error("unknown_image", f"it is of image {image_id}, which is not in images")
        for image_id, (name, width, height) in self._images.items():
            self._where = f"image {image_id}"
            path = shelf.find(name, self.path)
            if path is None:
                self.error("missing_file", f"{name!r} is not in the archive")
            elif path in found:
                self.error("duplicate_image", f"{name!r} is listed more than once")
            shapes = self._shapes_of(image_id)
            if path is not None:
                found[path] = (width, height, shapes)
        return found

    def error(self, code: str, reason: str) -> None:
        """Something wrong with the entry at hand."""
        self._sink.error(code, self.path, f"{self._where}: {reason}.")

    def _image(self, entry: dict[str, Any]) -> None:
        name, width, height = entry.get("file_name"), entry.get("width"), entry.get("height")
        if not isinstance(name, str) or not name:
            return self.error("bad_entry", 'it has no "file_name"')
        if entry["id"] in self._images:
            return self.error("duplicate_id", "another image has the same id")
        if not (is_id(width) and is_id(height) and width > 0 and height > 0):
            self.error("bad_entry", 'its "width" and "height" are not whole numbers above 0')
            width = height = 0
        self._images[entry["id"]] = (name, width, height)
        return None

    def _category(self, entry: dict[str, Any]) -> None:
        name: Any = entry.get("name")
        if fault := label_fault(name):
            return self.error("bad_label", f"its name {fault}")
        if entry["id"] in self._categories:
            return self.error("duplicate_id", "another category has the same id")
        if name in self._names:
            self._sink.warning("duplicate_name", self.path, f"{self._where}: another category is called {name!r} too.")
        self._categories[entry["id"]] = name
        self._names.add(name)
        return None

    def _annotation(self, entry: dict[str, Any]) -> None:
        image, category = entry.get("image_id"), entry.get("category_id")
        if not is_id(image) or not is_id(category):
            return self.error("bad_entry", 'its "image_id" and "category_id" are not whole numbers')
        if entry["id"] in self._ids:
            return self.error("duplicate_id", "another annotation has the same id")
        self._ids.add(entry["id"])
        if (crowd := entry.get("iscrowd", 0)) not in (0, 1):
            return self.error("bad_entry", '"iscrowd" is neither 0 nor 1')
        if not self._boxes:
            self._shapes.setdefault(image, []).append(packed([entry["id"], category, [0] * 4, [], False, 0, None]))
            return None
        outline = self._outline(entry)
        box = self._box(entry, outline)
        if box is None or outline is None:
            return None
        polygons, mask, size = outline[0], outline[1], outline[2]
        if crowd and polygons:
            self._sink.warning("crowd_polygon", self.path, f"{self._where}: a crowd is told by a mask, not polygons.")
        if self._masks and not mask:
            return self.error("no_mask", "segmentation needs an outline, and it has none")
        kept = [entry["id"], category, box, polygons if self._outlines else [], mask, crowd, size]
        self._shapes.setdefault(image, []).append(packed(kept))
        return None

    def _box(self, entry: dict[str, Any], outline: tuple[list[list[float]], bool, Any] | None) -> Box | None:
        """The box given, or that around the outline."""
        given = entry.get("bbox")
        if given is None and outline and outline[0]:
            return around([extent(polygon) for polygon in outline[0]])
        if not (isinstance(given, list) and len(given) == 4 and all(is_number(side) for side in given)):
            self.error("bad_box", "its bbox is not [x, y, width, height] in pixels")
            return None
        left, top, width, height = given
        if width <= 0 or height <= 0:
            self.error("bad_box", f"its bbox is {width:g} wide and {height:g} high")
            return None
        box = (left, top, left + width, top + height)
        return around([box, *(extent(polygon) for polygon in outline[0])]) if outline and outline[0] else box

    def _outline(self, entry: dict[str, Any]) -> tuple[list[list[float]], bool, Any] | None:
        """Polygons, whether there is an outline, and the size that a mask says; None where it is wrong."""
        given = entry.get("segmentation")
        if not given:
            return [], False, None
        if isinstance(given, dict):
            try:
                height, width, pixels = rle.check(given)
            except rle.BadMask as reason:
                self.error("bad_mask", f"its mask can't be read: {reason}")
                return None
            if not pixels:
                self.error("empty_mask", "its mask has no pixel set")
                return None
            return [], True, [width, height]
        if not isinstance(given, list) or not all(_is_polygon(polygon) for polygon in given):
            self.error("bad_polygon", "its polygons are not lists [x, y, x, y, …] of three points or more")
            return None
        return given, True, None

    def _shapes_of(self, image_id: int) -> list[Shape]:
        """The shapes of one image, checked against categories and the image's size."""
        found = []
        for kept in self._shapes.pop(image_id, ()):
            number, category, box, polygons, mask, crowd, size = orjson.loads(kept)
            self._where = f"annotation {number}"
            label = self._categories.get(category)
            if label is None:
                self.error("unknown_category", f"its category {category} is not in categories")
            said = self._images[image_id][1:]
            if size is not None and all(said) and tuple(size) != said:
                self.error("bad_mask", f"its mask is {size[0]} × {size[1]}, which is not its image's size")
            drawn = tuple(tuple(polygon) for polygon in polygons)
            found.append(Shape(str(number), label or "", tuple(box), drawn, mask, bool(crowd)))
        return found


def is_id(value: Any) -> TypeGuard[int]:
    """Whether it is a whole number that every reader of JSON reads as the same (RFC 8259 §6)."""
    return type(value) is int and abs(value) < 1 << 53


def _is_polygon(points: Any) -> bool:
    if not isinstance(points, list) or len(points) < 6 or len(points) % 2:
        return False
    return all(is_number(value) for value in points)
