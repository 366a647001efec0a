"""Images with classes in JSON: COCO's with categories alone, a file beside each image (`label`, `labels`, or LabelMe's
`flags`), or a list of images with their labels."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from dataset_svc.formats.decoding import Lines
from dataset_svc.formats.known.json.checker import ImagesChecker
from dataset_svc.formats.known.json.coco import SECTIONS
from dataset_svc.formats.known.json.one_file import SHAPES
from dataset_svc.formats.known.json.reading import LISTED, Wanted
from dataset_svc.formats.known.json.shapes import Shape
from dataset_svc.formats.labels import label_fault
from dataset_svc.formats.passing import JSON_LINES, objects, passing
from dataset_svc.formats.port import ContentLimits, Sink, Summary

_IMAGE = ("image", "file_name", "imagePath")
_LABELS = ("labels", "label", "class")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")

Said = tuple[str, int, str, tuple[str, ...]]
"""The annotation file, the line (0: none), the image as it says it (empty: that of the same name), the classes."""


class LabelsChecker(ImagesChecker):
    """See Checker. `classes` counts the images of each class; an image may have several."""

    missing = (
        "The archive has no annotation file. Add a .json beside each image, COCO's .json, or a list or JSON lines of "
        'images ("image") with their classes ("label", "labels").'
    )
    nothing = "No image has a class; nothing could be learned."
    unlisted = "No annotation file says of what class this image is."
    wanted = Wanted((*SECTIONS, SHAPES, LISTED), frozenset({*_IMAGE, *_LABELS, "flags"}))
    boxes = False

    def __init__(self, sink: Sink, limits: ContentLimits) -> None:
        super().__init__(sink, limits)
        self._said: list[Said] = []

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        if PurePosixPath(path).suffix.lower() in JSON_LINES:
            for _ in self._listing(path, iter((data,))):
                continue
        else:
            super().whole(path, data)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker. JSON lines may be any size."""
        if PurePosixPath(path).suffix.lower() in JSON_LINES:
            return self._listing(path, chunks)
        return super().stream(path, size, chunks)

    def finish(self) -> Summary:
        """See Checker."""
        for said in self._said:
            self._assign(*said)
        summary = super().finish()
        if summary["classes"] and len(summary["classes"]) < self.limits.min_classes:
            found = ", ".join(summary["classes"])
            reason = f"The images have one class ({found}); {self.limits.min_classes} are needed."
            self.sink.error("too_few_classes", "", reason)
        del summary["objects"]
        return summary

    def other(self, path: str, number: int | None, said: Any) -> bool:
        """See ImagesChecker: the classes of one image. Of which, an element of a list must say."""
        where = "" if number is None else f"sample {number + 1}: "
        self._say(path, 0, said, where, named=number is not None)
        return True

    def image(self, file: str, path: str, width: int, height: int, shapes: list[Shape]) -> None:
        """See ImagesChecker: its classes, as COCO has them."""
        self.compare_size(file, path, width, height)
        if not shapes:
            return
        if path in self.annotated:
            self._wrong("duplicate_image", file, 0, f"{path!r} has its labels already.")
            return
        self._labelled(file, path, frozenset(shape.label for shape in shapes))

    def _listing(self, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        def rows(text: Iterator[str]) -> Iterator[tuple[int, Any]]:
            return objects(path, self.sink, text)

        def take(row: tuple[int, Any]) -> None:
            self._say(path, row[0], row[1], "", named=True)

        self.any_file = True
        if not (yield from passing(chunks, path, self.sink, Lines(), rows, take)):
            self.unread = True

    def _say(self, path: str, line: int, found: Any, where: str, *, named: bool) -> None:
        """What an annotation file says of one image; `named`: it must say which."""
        if not isinstance(found, dict):
            return self._wrong("bad_row", path, line, f"{where}it is no object.")
        image = next((found[name] for name in _IMAGE if isinstance(found.get(name), str)), "")
        if named and not image:
            return self._wrong("bad_row", path, line, f'{where}it has no "image", which is a path in the archive.')
        labels = _labels(found)
        if not labels:
            reason = 'it has no "label" or "labels", and no flag that is true.'
            return self._wrong("bad_label", path, line, where + reason)
        for label in labels:
            if fault := label_fault(label):
                return self._wrong("bad_label", path, line, f"{where}its label {fault}.")
        self._said.append((path, line, image, tuple(label.strip() for label in labels)))
        return None

    def _assign(self, file: str, line: int, image: str, labels: tuple[str, ...]) -> None:
        """Find the image that was meant."""
        path = self.shelf.find(image, file) if image else self._beside(file)
        if path is None:
            what = repr(image) if image else "an image of the same name"
            return self._wrong("missing_file", file, line, f"{what} is not in the archive.")
        if path in self.annotated:
            return self._wrong("duplicate_image", file, line, f"{path!r} has its labels already.")
        self._labelled(file, path, frozenset(labels))
        return None

    def _beside(self, file: str) -> str | None:
        stem = posixpath.splitext(file)[0]
        names = (stem + ending for suffix in _SUFFIXES for ending in (suffix, suffix.upper()))
        return next((name for name in names if name in self.shelf.sizes), None)

    def _labelled(self, file: str, path: str, labels: frozenset[str]) -> None:
        width, height = self.shelf.sizes[path] or (0, 0)
        shown = {"kind": "labels", "width": width, "height": height, "labels": sorted(labels)}
        self.annotate(file, path, sorted(labels), shown)

    def _wrong(self, code: str, path: str, line: int, reason: str) -> None:
        self.sink.error(code, path, reason[:1].upper() + reason[1:], line or None)


def _labels(found: dict[str, Any]) -> list[Any]:
    """The classes that an object says: one, several, or LabelMe's flags."""
    for name in _LABELS:
        if name in found:
            return found[name] if isinstance(found[name], list) else [found[name]]
    flags = found.get("flags")
    return [name for name, on in flags.items() if on is True] if isinstance(flags, dict) else []
