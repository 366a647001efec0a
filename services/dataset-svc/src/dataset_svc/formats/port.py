"""The port behind which every format stands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from dataset_svc.formats.samples import Samples

Summary = dict[str, Any]
"""What a checker saw, as JSON: `classes` (name → files), and figures of the content (see each format)."""

Annotations = Iterator[tuple[str, bytes, Collection[str]]]
"""Path of a file, what is annotated in it as JSON (`objects`, `spans` or `rows`: docs/guides/dataset-formats.md), and
the classes by which it can be found."""


class Row(NamedTuple):
    """One of the samples in a file: its text, its classes, and what is marked in it, as JSON (`spans`)."""

    text: str
    classes: Sequence[str]
    annotations: bytes = b""


RowReader = Callable[[str, Iterator[str]], Iterator[Row]]
"""Reads the samples of a file that was imported, by its path and its lines, in the order in which `Checker.samples`
noted them; none of a file that the import passed over. Raises NotText, Problem where it is no such file."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How samples become the records of a formatted set: each file is one, unless `rows` reads them out of files.
    `refusal` says, to people, why they can't; it is empty where they can."""

    rows: RowReader | None = None
    refusal: str = ""


FILES = Recorded()
"""Each file that doesn't describe others is a record."""


@dataclass(frozen=True, slots=True)
class ContentLimits:
    """Limits of single files by their content. `image_bytes` and `image_pixels` bound what is decoded at once;
    an animation's frames count together. A text that must be at hand whole (brat's, or one in JSON) may have
    `whole_bytes`; `waiting_bytes` bounds texts that wait for their annotations, which lie elsewhere in the archive."""

    image_bytes: int = 256 << 20
    image_pixels: int = 100_000_000
    min_classes: int = 2
    whole_bytes: int = 32 << 20
    waiting_bytes: int = 256 << 20


class Sink(Protocol):
    """Takes faults; an error makes the import fail at its end, a warning doesn't."""

    def error(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        """Something that must be put right."""
        ...

    def warning(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        """Something that a person may want to know."""
        ...


class Content(Protocol):
    """Checks one kind of content (images, texts), whatever format the files are arranged in."""

    def whole(self, path: str, data: bytes) -> None:
        """Check a file whose content is at hand."""
        ...

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Check a large file while passing its content on unchanged."""
        ...

    def summary(self) -> Summary:
        """Figures of what was seen."""
        ...


class Checker(Protocol):
    """Checks one archive: told of every folder and file once, then asked for the end result."""

    def folder(self, path: str) -> None:
        """A folder that has an entry of its own; it may be empty."""
        ...

    def whole(self, path: str, data: bytes) -> None:
        """A file whose content is at hand."""
        ...

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """A large file: passes its content on unchanged. The result must be read to its end."""
        ...

    def finish(self) -> Summary:
        """Report what only the whole can tell, and sum up."""
        ...

    def annotations(self) -> Annotations:
        """What is annotated in each file, once all is checked and right."""
        ...

    def samples(self) -> Mapping[str, Samples]:
        """How the samples lie in files that hold many, line after line or in a list, by path: a split parts these by
        samples."""
        ...


class Format(Protocol):
    """A way to arrange a dataset. `purposes` are those of the two-level taxonomy that it can hold."""

    name: str
    purposes: tuple[str, ...]

    def describing(self, purpose: str) -> tuple[str, ...]:
        """What the names of files end with, in lower case (empty: those without an ending), that are no samples but say
        something of them: a split keeps them with those."""
        ...

    def recorded(self, purpose: str) -> Recorded:
        """What the records of a formatted set are."""
        ...

    def checker(self, purpose: str, sink: Sink, limits: ContentLimits) -> Checker:
        """A checker for one archive. Raises Invalid (`format_purpose`) for a purpose it can't hold."""
        ...
