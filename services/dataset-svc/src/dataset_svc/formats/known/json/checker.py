"""A whole archive of images and annotation files, which may come in any order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from dataset_svc.formats import images
from dataset_svc.formats.decoding import NotText
from dataset_svc.formats.known.json import OTHER, reading
from dataset_svc.formats.known.json.coco import SECTIONS, CocoFile
from dataset_svc.formats.known.json.labelme import LabelMeFile
from dataset_svc.formats.known.json.shapes import TOLERANCE, Shape, reaches_over, shown_box
from dataset_svc.formats.known.json.shelf import Shelf
from dataset_svc.formats.labels import Classes
from dataset_svc.formats.packing import packed
from dataset_svc.formats.port import Annotations, ContentLimits, Sink, Summary
from dataset_svc.formats.samples import Samples
from dataset_svc.formats.together import Together

_JSON = ".json"


class JsonChecker:
    """See Checker. `classes` counts the images that have an object of that class."""

    nothing = "Nothing is drawn on any image; nothing could be learned."
    unlisted = "No annotation file tells of this image."
    """What is said where nothing was found, and of an image that is left out."""
    wanted = reading.Wanted(SECTIONS, frozenset({"shapes", "imagePath", "imageWidth", "imageHeight"}))
    """What is read of a file that is too large to be held."""

    def __init__(self, purpose: str, sink: Sink, limits: ContentLimits) -> None:
        self._masks = purpose.endswith("segmentation")
        self._sink, self._limits = sink, limits
        self._shelf = Shelf()
        self._images = images.content(sink, limits, self._shelf.measured)
        self._files: list[CocoFile | LabelMeFile] = []
        self._unread = False
        self._drawn: dict[str, tuple[bytes, frozenset[str]]] = {}
        self._classes = Classes(sink)
        self._together = Together()
        self._annotated = 0

    def folder(self, path: str) -> None:
        """See Checker. Folders say nothing."""

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        suffix = PurePosixPath(path).suffix.lower()
        if suffix == _JSON:
            self._annotations(path, data)
        elif suffix in OTHER:
            self._other(path)
        else:
            self._shelf.add(path)
            self._images.whole(path, data)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker. Of an annotation file above the limit only what is needed is taken; COCO's entry by entry, and
        its polygons are not kept."""
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in OTHER:
            self._other(path)
            return chunks
        if suffix != _JSON:
            self._shelf.add(path)
            return self._images.stream(path, size, chunks)
        return self._held(path, chunks) if size <= self._limits.whole_bytes else self._streamed(path, chunks)

    def finish(self) -> Summary:
        """See Checker. `objects` counts what is drawn of each class, `together` the images in which two classes are."""
        for file in self._files:
            for path, (width, height, shapes) in file.close(self._shelf).items():
                self._image(file.path, path, width, height, shapes)
        if not self._unread:
            self._look_for_gaps()
        return {
            "classes": self._classes.files(),
            "objects": self._classes.times(),
            "together": self._together.as_json(),
            "unannotated": len(self._shelf.sizes) - self._annotated,
            **self._images.summary(),
        }

    def annotations(self) -> Annotations:
        """See Checker: what is drawn on each image."""
        for path, (drawn, labels) in self._drawn.items():
            yield path, drawn, labels

    def samples(self) -> Mapping[str, Samples]:
        """See Checker: each file is one."""
        return {}

    def _look_for_gaps(self) -> None:
        """What is not there at all; says nothing where an annotation file could not be read."""
        if not self._has_files():
            reason = "The archive has no annotation file. Add COCO's .json, or LabelMe's .json beside each image."
            return self._sink.error("no_annotations", "", reason)
        for path in sorted(self._shelf.sizes.keys() - self._drawn.keys()):
            self._sink.warning("unlisted_image", path, self.unlisted)
        if not self._classes:
            self._sink.error("no_objects", "", self.nothing)
        return None

    def _has_files(self) -> bool:
        """Whether there is any annotation file."""
        return bool(self._files)

    def _annotations(self, path: str, data: bytes) -> None:
        """An annotation file that is at hand."""
        try:
            content = reading.load(data)
            if reading.is_coco(content):
                coco = self._coco(path, outlines=True)
                reading.feed(coco, content)
                self._files.append(coco)
            else:
                self._plain(path, content)
        except NotText as fault:
            self._not_read(path, fault)

    def _coco(self, path: str, *, outlines: bool) -> CocoFile:
        """One of COCO's files begins."""
        return CocoFile(path, self._sink, masks=self._masks, outlines=outlines)

    def _plain(self, path: str, content: reading.Content) -> None:
        """An annotation file that is not COCO's."""
        if "shapes" in content:
            self._files.append(LabelMeFile(path, self._sink, masks=self._masks, content=content))
        else:
            self._sink.warning("other_file", path, "This JSON is neither COCO's nor LabelMe's, and is not read.")

    def _not_read(self, path: str, fault: NotText) -> None:
        """An annotation file that can't be read to its end."""
        self._unread = True
        self._sink.error(fault.code, path, fault.reason, fault.line)

    def _held(self, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        data = b"".join(chunks)
        self._annotations(path, data)
        yield data

    def _streamed(self, path: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        coco, content = self._coco(path, outlines=False), reading.Content()
        try:
            yield from reading.stream(chunks, self.wanted, lambda entry: self._take(path, coco, content, entry))
            if not reading.is_coco({*content, *coco.sections}):
                return self._plain(path, content)
            reading.all_lists(content)
        except NotText as fault:
            return self._not_read(path, fault)
        return self._files.append(coco)

    def _take(self, path: str, coco: CocoFile, content: reading.Content, entry: reading.Entry) -> None:
        """Something of a file that streams by. A section that is no list may be a name of LabelMe's."""
        name, number, value = entry
        if name not in SECTIONS or (number is None and not isinstance(value, list)):
            content[name] = value
        elif number is None:
            coco.begin(name)
        else:
            coco.take(name, number, value)

    def _image(self, file: str, path: str, width: int, height: int, shapes: list[Shape]) -> None:
        """What one annotation file says of one image."""
        if path in self._drawn:
            return self._sink.error("duplicate_image", file, f"{path!r} is annotated by another file already.")
        self._compare_size(file, path, width, height)
        size = self._shelf.sizes[path] or (width, height)
        for shape in shapes:
            self._inside(file, path, shape, *size)
        labels = self._count(file, [shape.label for shape in shapes])
        drawn: dict[str, Any] = {"kind": "objects", "width": size[0], "height": size[1]}
        self._drawn[path] = packed({**drawn, "objects": [shape.as_json() for shape in shapes]}), labels
        return None

    def _count(self, file: str, names: Collection[str]) -> frozenset[str]:
        """The classes of all that is on one image, as a file says it; gives each once."""
        labels = frozenset(names)
        self._classes.add(names, file)
        self._together.add(labels)
        self._annotated += bool(labels)
        return labels

    def _compare_size(self, file: str, path: str, width: int, height: int) -> None:
        """Hold the size that an annotation file says against the image's own."""
        actual = self._shelf.sizes[path]
        if actual is not None and width and height and actual != (width, height):
            reason = f"{path!r} is {actual[0]} × {actual[1]} pixels, not {width} × {height} as is said here."
            self._sink.error("image_size", file, reason)

    def _inside(self, file: str, path: str, shape: Shape, width: int, height: int) -> None:
        """Hold a shape against the image's edges."""
        over = reaches_over(shape.box, width, height) if width and height else 0.0
        if not over:
            return
        reason = (
            f"annotation {shape.name}: it reaches from {shown_box(shape.box)}, which is {over:g} pixels outside "
            f"{path!r} ({width} × {height})."
        )
        (self._sink.error if over > TOLERANCE else self._sink.warning)("box_outside", file, reason)

    def _other(self, path: str) -> None:
        self._sink.warning("other_file", path, "This file is neither an image nor an annotation file, and is not read.")
