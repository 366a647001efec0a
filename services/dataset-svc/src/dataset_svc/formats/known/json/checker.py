"""A whole archive of images and annotation files, which may come in any order, whatever is said of the images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from dataset_svc.formats import images
from dataset_svc.formats.decoding import NotText
from dataset_svc.formats.known.json import OTHER, reading
from dataset_svc.formats.known.json.coco import CocoFile
from dataset_svc.formats.known.json.labelme import LabelMeFile
from dataset_svc.formats.known.json.one_file import AnnotationFile
from dataset_svc.formats.known.json.shapes import Shape
from dataset_svc.formats.known.json.shelf import Shelf
from dataset_svc.formats.labels import Classes
from dataset_svc.formats.packing import packed
from dataset_svc.formats.port import Annotations, ContentLimits, Sink, Summary
from dataset_svc.formats.samples import Samples
from dataset_svc.formats.together import Together

_JSON = ".json"


class ImagesChecker(ABC):
    """See Checker. Those for a purpose say what is read of annotation files and make of it what they need: `files` are
    those whose images are looked for at the end, `any_file` says whether there was one, and `unread` whether one could
    not be read to its end; `annotated` is what is shown of an image, and its classes."""

    missing: str
    """What is said where there is no annotation file."""
    nothing: str
    """What is said where no file has a class for any image."""
    unlisted: str
    """What is said of an image that is left out."""
    wanted: reading.Wanted
    """What is read of an annotation file."""
    boxes = True
    """Whether COCO's annotations are more than the class of their image."""

    def __init__(self, sink: Sink, limits: ContentLimits, *, masks: bool = False) -> None:
        self.sink, self.limits, self.masks = sink, limits, masks
        self.shelf = Shelf()
        self.files: list[CocoFile | LabelMeFile] = []
        self.any_file = self.unread = False
        self.annotated: dict[str, tuple[bytes, frozenset[str]]] = {}
        self._images = images.content(sink, limits, self.shelf.measured)
        self._classes = Classes(sink)
        self._together = Together()

    @abstractmethod
    def other(self, path: str, number: int | None, said: Any) -> bool:
        """What a file that is not COCO's says: all of it, or with their numbers (from 0) the elements of a list. Gives
        whether it is an annotation file, right or wrong."""

    @abstractmethod
    def image(self, file: str, path: str, width: int, height: int, shapes: list[Shape]) -> None:
        """What one of `files` says of an image that is there; its size is 0 where none is said."""

    def folder(self, path: str) -> None:  # noqa: B027 - a whole answer, and no hook
        """See Checker. Folders say nothing."""

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        suffix = PurePosixPath(path).suffix.lower()
        if suffix == _JSON:
            self._at_hand(path, data)
        elif suffix in OTHER:
            self._passed_over(path)
        else:
            self.shelf.add(path)
            self._images.whole(path, data)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker. Of an annotation file above the limit only what is needed is taken; COCO's entry by entry, and
        its polygons are not kept."""
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in OTHER:
            self._passed_over(path)
            return chunks
        if suffix != _JSON:
            self.shelf.add(path)
            return self._images.stream(path, size, chunks)
        return self._held(path, chunks) if size <= self.limits.whole_bytes else self._streamed(path, chunks)

    def finish(self) -> Summary:
        """See Checker. `objects` counts what is drawn of each class, `together` the images in which two classes are."""
        for file in self.files:
            for path, (width, height, shapes) in file.close(self.shelf).items():
                self.image(file.path, path, width, height, shapes)
        if not self.unread:
            self._look_for_gaps()
        with_classes = sum(bool(labels) for _, labels in self.annotated.values())
        return {
            "classes": self._classes.files(),
            "objects": self._classes.times(),
            "together": self._together.as_json(),
            "unannotated": len(self.shelf.sizes) - with_classes,
            **self._images.summary(),
        }

    def annotations(self) -> Annotations:
        """See Checker: what is known of each image."""
        for path, (shown, labels) in self.annotated.items():
            yield path, shown, labels

    def samples(self) -> Mapping[str, Samples]:
        """See Checker: each file is one."""
        return {}

    def annotate(self, file: str, path: str, classes: Sequence[str], shown: dict[str, Any]) -> None:
        """An image is annotated in that file: the class of each thing on it, and what is shown."""
        labels = frozenset(classes)
        self._classes.add(classes, file)
        self._together.add(labels)
        self.annotated[path] = packed(shown), labels

    def compare_size(self, file: str, path: str, width: int, height: int) -> None:
        """Hold the size that an annotation file says against the image's own."""
        actual = self.shelf.sizes[path]
        if actual is not None and width and height and actual != (width, height):
            reason = f"{path!r} is {actual[0]} × {actual[1]} pixels, not {width} × {height} as is said here."
            self.sink.error("image_size", file, reason)

    def _look_for_gaps(self) -> None:
        """What is not there at all. It can't be told where an annotation file could not be read."""
        if not self.any_file:
            return self.sink.error("no_annotations", "", self.missing)
        for path in sorted(self.shelf.sizes.keys() - self.annotated.keys()):
            self.sink.warning("unlisted_image", path, self.unlisted)
        if not self._classes:
            self.sink.error("no_objects", "", self.nothing)
        return None

    def _held(self, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        data = b"".join(chunks)
        self._at_hand(path, data)
        yield data

    def _at_hand(self, path: str, data: bytes) -> None:
        """An annotation file that is held whole."""
        file = self._begun(path, outlines=True)
        try:
            for entry in reading.entries(data, self.wanted):
                file.take(entry)
            self._ended(path, file)
        except NotText as fault:
            self._not_read(path, fault)

    def _streamed(self, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """An annotation file that is too large to be held."""
        file = self._begun(path, outlines=False)
        try:
            yield from reading.stream(chunks, self.wanted, file.take)
            self._ended(path, file)
        except NotText as fault:
            self._not_read(path, fault)

    def _begun(self, path: str, *, outlines: bool) -> AnnotationFile:
        """An annotation file begins."""
        listed = partial(self.other, path)
        return AnnotationFile(path, self.sink, listed, masks=self.masks, outlines=outlines, boxes=self.boxes)

    def _ended(self, path: str, file: AnnotationFile) -> None:
        """All of an annotation file was taken. Raises NotText where it can't be read for what it is."""
        coco, said = file.coco(), file.said()
        if coco is not None:
            self.files.append(coco)
        if coco is not None or isinstance(said, list) or self.other(path, None, said):
            self.any_file = True

    def _not_read(self, path: str, fault: NotText) -> None:
        """An annotation file can't be read to its end."""
        self.unread = True
        self.sink.error(fault.code, path, fault.reason, fault.line)

    def _passed_over(self, path: str) -> None:
        self.sink.warning("other_file", path, "This file is neither an image nor an annotation file, and is not read.")
