"""The format `dir`: a folder for each class, with that class's files in it (seed 002 §2.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from dataset_svc.formats.labels import MOST_CLASSES
from dataset_svc.formats.port import FILES, Annotations, Checker, Content, ContentLimits, Recorded, Sink, Summary
from dataset_svc.formats.registry import check_purpose
from dataset_svc.formats.samples import Samples

_CONTENT = {
    "image/classification": "dataset_svc.formats.images",
    "text/classification": "dataset_svc.formats.texts",
}
"""Purpose → the module whose `content(sink, limits)` checks one file."""


class DirFormat:
    """See Format."""

    name = "dir"
    purposes = tuple(_CONTENT)

    def describing(self, purpose: str) -> tuple[str, ...]:
        """See Format: each file of a class is a sample, whatever its name."""
        return ()

    def recorded(self, purpose: str) -> Recorded:
        """See Format."""
        return FILES

    def checker(self, purpose: str, sink: Sink, limits: ContentLimits) -> Checker:
        """See Format."""
        check_purpose(self.name, self.purposes, purpose)
        content: Callable[[Sink, ContentLimits], Content] = import_module(_CONTENT[purpose]).content
        return DirChecker(content(sink, limits), sink, limits)


class DirChecker:
    """Counts the files of each class and hands their content on to be checked."""

    def __init__(self, content: Content, sink: Sink, limits: ContentLimits) -> None:
        self._content, self._sink, self._limits = content, sink, limits
        self._whole = content.whole
        self._classes: dict[str, int] = {}
        self._told = False

    def folder(self, path: str) -> None:
        """See Checker."""
        self._class(path.partition("/")[0], 0)

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        label, slash, _ = path.partition("/")
        if slash:
            self._class(label, 1)
            self._whole(path, data)
        else:
            self._outside(path)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker."""
        label, slash, _ = path.partition("/")
        if slash:
            self._class(label, 1)
            return self._content.stream(path, size, chunks)
        self._outside(path)
        return chunks

    def finish(self) -> Summary:
        """See Checker. The summary has `classes` and the content's figures."""
        for label, files in self._classes.items():
            if not files:
                self._sink.error(
                    "empty_class", label, "This class folder has no files. Add some, or remove the folder."
                )
        if len(self._classes) < self._limits.min_classes:
            self._sink.error("too_few_classes", "", self._too_few())
        return {"classes": dict(sorted(self._classes.items())), **self._content.summary()}

    def annotations(self) -> Annotations:
        """See Checker: the folder says it all."""
        return iter(())

    def samples(self) -> Mapping[str, Samples]:
        """See Checker: each file is one."""
        return {}

    def _class(self, label: str, files: int) -> None:
        """So many files more are of that class. Classes beyond the limit are not counted, but told once."""
        if label in self._classes:
            self._classes[label] += files
        elif len(self._classes) < MOST_CLASSES:
            self._classes[label] = files
        elif not self._told:
            self._told = True
            self._sink.error("too_many_classes", label, _TOO_MANY)

    def _too_few(self) -> str:
        found = ", ".join(self._classes) or "none"
        return (
            f"The archive has {len(self._classes)} class folders ({found}); "
            f"at least {self._limits.min_classes} are needed. Make a folder for each class, with its files in it."
        )

    def _outside(self, path: str) -> None:
        self._sink.error("outside_class", path, "This file is in no class folder. Move it into one, or leave it out.")


_TOO_MANY = (
    f"From here on there are more than {MOST_CLASSES:,} classes; folders are classes: is each sample in a folder of "
    "its own? Put all samples of a class into one folder."
)

FORMAT = DirFormat()
