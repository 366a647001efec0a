"""The format `dir`: a folder for each class, with that class's files in it (seed 002 §2.1.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from dataset_svc.formats.labels import Classes
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
        self._classes = Classes(sink, advice=_ADVICE)

    def folder(self, path: str) -> None:
        """See Checker."""
        label = path.partition("/")[0]
        self._classes.count(label, label, 0)

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        label, slash, _ = path.partition("/")
        if slash:
            self._classes.count(label, label, 1)
            self._whole(path, data)
        else:
            self._outside(path)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker."""
        label, slash, _ = path.partition("/")
        if slash:
            self._classes.count(label, label, 1)
            return self._content.stream(path, size, chunks)
        self._outside(path)
        return chunks

    def finish(self) -> Summary:
        """See Checker. The summary has `classes` and the content's figures."""
        classes = self._classes.files()
        for label, files in classes.items():
            if not files:
                self._sink.error(
                    "empty_class", label, "This class folder has no files. Add some, or remove the folder."
                )
        if len(classes) < self._limits.min_classes:
            self._sink.error("too_few_classes", "", self._too_few(classes))
        return {"classes": classes, **self._content.summary()}

    def annotations(self) -> Annotations:
        """See Checker: the folder says it all."""
        return iter(())

    def samples(self) -> Mapping[str, Samples]:
        """See Checker: each file is one."""
        return {}

    def _too_few(self, classes: Mapping[str, int]) -> str:
        found = ", ".join(classes) or "none"
        return (
            f"The archive has {len(classes)} class folders ({found}); "
            f"at least {self._limits.min_classes} are needed. Make a folder for each class, with its files in it."
        )

    def _outside(self, path: str) -> None:
        self._sink.error("outside_class", path, "This file is in no class folder. Move it into one, or leave it out.")


_ADVICE = "Folders are classes: is each sample in a folder of its own? Put all samples of a class into one folder."

FORMAT = DirFormat()
