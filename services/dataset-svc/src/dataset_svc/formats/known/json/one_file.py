"""One annotation file beside images. Whether it is COCO's is known when all names at its top are; until then what is
wrong in COCO's sections is kept back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dataset_svc.formats.decoding import NotText
from dataset_svc.formats.known.json.coco import SECTIONS, CocoFile
from dataset_svc.formats.known.json.held import Held
from dataset_svc.formats.known.json.reading import LISTED, Content, Entry
from dataset_svc.formats.port import Sink

SHAPES = "shapes"
"""What a file of LabelMe's is told by."""

Listed = Callable[[int, Any], object]
"""Told of an element of a file that is a list: its number from 0, and what it is."""


class AnnotationFile:
    """Takes what is in a file, in whatever order it comes. `listed` is told of the elements where it is a list;
    `outlines` and `boxes` are as CocoFile has them."""

    def __init__(self, path: str, sink: Sink, listed: Listed, *, masks: bool, outlines: bool, boxes: bool) -> None:
        self._faults, self._listed = Held(sink), listed
        self._coco = CocoFile(path, self._faults, masks=masks, outlines=outlines, boxes=boxes)
        self._content: Content = {}

    def take(self, entry: Entry) -> None:
        """Something of the file. What has the name of a section and is no list may be LabelMe's."""
        name, number, value = entry
        if number is None:
            self._content[name] = value
            if name in SECTIONS and isinstance(value, list):
                self._coco.begin(name)
        elif name is LISTED:
            self._listed(number, value)
        elif name in SECTIONS:
            self._coco.take(name, number, value)

    def coco(self) -> CocoFile | None:
        """The file as COCO's once all of it was taken, or None where it isn't. Raises NotText (`bad_section`)."""
        if SHAPES in self._content or not {"images", "annotations"} & self._content.keys():
            return None
        for section in SECTIONS:
            if not isinstance(self._content.get(section, []), list):
                raise NotText("bad_section", f"{section!r} is no list.")
        self._faults.pass_on()
        return self._coco

    def said(self) -> Any:
        """What a file that is not COCO's says: of an object the names that are wanted; [] where it is a list, which
        has been said."""
        return self._content.get(LISTED, self._content)
