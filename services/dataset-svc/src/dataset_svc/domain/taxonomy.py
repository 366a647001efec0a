"""How datasets are annotated and arranged, and what goes with what (seed 002 §2.1.1, row D1). Data, not code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum

from common.contracts.purposes import purpose_faults
from common.kernel.errors import Fault

ANNOTATIONS: dict[str, tuple[str, ...]] = {
    "class": ("classification",),
    "box": ("detection", "segmentation"),
    "polygon": ("detection", "segmentation"),
    "entity": ("entity",),
    "relation": ("relation",),
}
"""Kind of annotation → second levels of the purposes that it serves. `box` and `polygon` are the seed's 位置标注."""

FORMATS: dict[str, tuple[str, ...]] = {
    "dir": ("image/classification", "text/classification"),
    "json": ("image/classification", "image/detection", "image/segmentation", "text/entity", "text/relation"),
    "single_text": ("text/classification", "text/entity"),
    "brat_ann": ("text/entity", "text/relation"),
}
"""Format → the known purposes whose datasets it can hold."""


class TestMode(StrEnum):
    """Where test data comes from: a `ratio` of the training set, chosen by each job, or an `independent` set."""

    __test__ = False  # it is no test, whatever pytest thinks of its name

    RATIO = "ratio"
    INDEPENDENT = "independent"


class Part(StrEnum):
    """What an archive holds: the training set, or the independent test set."""

    TRAIN = "train"
    TEST = "test"


def taxonomy_faults(
    purpose: str,
    annotation: str,
    format: str,
    test_mode: str,
    more: Iterable[str] = (),
    formats: Mapping[str, Iterable[str]] = FORMATS,
) -> Iterator[Fault]:
    """What is wrong with how a dataset is described. A purpose that an administrator added (`more`) goes with any
    annotation and format; `formats` are those that there are, with the purposes of each."""
    added = purpose in tuple(more)
    bad_purpose = purpose_faults(purpose, more)
    yield from bad_purpose
    yield from _annotation_faults(purpose, annotation, free=added or bool(bad_purpose))
    yield from _format_faults(purpose, format, formats, free=added or bool(bad_purpose))
    if test_mode not in tuple(TestMode):
        yield Fault("test_mode", f"{test_mode[:80]!r} is none of: {', '.join(TestMode)}.")


def held_as(purpose: str, annotation: str, known: Collection[str]) -> str:
    """Which of the `known` purposes of its format a dataset is checked as: its own, or where an administrator added
    that, the one of the same medium that its annotation serves. Its own too where none fits."""
    medium = purpose.partition("/")[0]
    fitting = [f"{medium}/{task}" for task in ANNOTATIONS.get(annotation, ())]
    return next((one for one in (purpose, *fitting) if one in known), purpose)


def _annotation_faults(purpose: str, annotation: str, *, free: bool) -> Iterator[Fault]:
    if annotation not in ANNOTATIONS:
        yield Fault("annotation", f"{annotation[:80]!r} is none of: {', '.join(ANNOTATIONS)}.")
    elif not free and purpose.partition("/")[2] not in ANNOTATIONS[annotation]:
        fitting = [kind for kind, tasks in ANNOTATIONS.items() if purpose.partition("/")[2] in tasks]
        yield Fault("annotation", f"{annotation!r} does not go with {purpose}. Choose one of: {', '.join(fitting)}.")


def _format_faults(purpose: str, format: str, formats: Mapping[str, Iterable[str]], *, free: bool) -> Iterator[Fault]:
    if format not in formats:
        yield Fault("format", f"{format[:80]!r} is none of: {', '.join(formats)}.")
    elif not free and purpose not in formats[format]:
        fitting = [name for name, purposes in formats.items() if purpose in purposes]
        yield Fault("format", f"{format!r} can't hold {purpose}. Choose one of: {', '.join(fitting)}.")
