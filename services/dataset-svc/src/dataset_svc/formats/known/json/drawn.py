"""Images on which something is drawn, boxes or outlines, as COCO or LabelMe says it."""

from __future__ import annotations

from typing import Any

from dataset_svc.formats.known.json.checker import ImagesChecker
from dataset_svc.formats.known.json.coco import SECTIONS
from dataset_svc.formats.known.json.labelme import LabelMeFile
from dataset_svc.formats.known.json.one_file import SHAPES
from dataset_svc.formats.known.json.reading import Wanted
from dataset_svc.formats.known.json.shapes import TOLERANCE, Shape, reaches_over, shown_box


class DrawnChecker(ImagesChecker):
    """See Checker. `classes` counts the images that have an object of that class."""

    missing = "The archive has no annotation file. Add COCO's .json, or LabelMe's .json beside each image."
    nothing = "Nothing is drawn on any image; nothing could be learned."
    unlisted = "No annotation file tells of this image."
    wanted = Wanted(SECTIONS, frozenset({SHAPES, "imagePath", "imageWidth", "imageHeight"}))

    def other(self, path: str, number: int | None, said: Any) -> bool:
        """See ImagesChecker: LabelMe's, or none; lists are not wanted."""
        if SHAPES in said:
            self.files.append(LabelMeFile(path, self.sink, masks=self.masks, content=said))
            return True
        self.sink.warning("other_file", path, "This JSON is neither COCO's nor LabelMe's, and is not read.")
        return False

    def image(self, file: str, path: str, width: int, height: int, shapes: list[Shape]) -> None:
        """See ImagesChecker: all that is drawn on it. A second file must not tell of it."""
        if path in self.annotated:
            return self.sink.error("duplicate_image", file, f"{path!r} is annotated by another file already.")
        self.compare_size(file, path, width, height)
        size = self.shelf.sizes[path] or (width, height)
        for shape in shapes:
            self._inside(file, path, shape, *size)
        drawn = {"kind": "objects", "width": size[0], "height": size[1], "objects": [one.as_json() for one in shapes]}
        return self.annotate(file, path, [shape.label for shape in shapes], drawn)

    def _inside(self, file: str, path: str, shape: Shape, width: int, height: int) -> None:
        """Hold a shape against the image's edges."""
        over = reaches_over(shape.box, width, height) if width and height else 0.0
        if not over:
            return
        reason = (
            f"annotation {shape.name}: it reaches from {shown_box(shape.box)}, which is {over:g} pixels outside "
            f"{path!r} ({width} × {height})."
        )
        (self.sink.error if over > TOLERANCE else self.sink.warning)("box_outside", file, reason)
