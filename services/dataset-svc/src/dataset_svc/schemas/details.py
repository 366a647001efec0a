"""What is known of a version's content, as its import counted it. Versions of earlier platforms have fewer figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.versions import Content, Version
from dataset_svc.schemas.passing import DescribedBy


class BucketOut(BaseModel):
    """How many values lie from one to another, both included."""

    model_config = ConfigDict(populate_by_name=True)

    start: int = Field(alias="from")
    end: int = Field(alias="to")
    count: int


class SpreadOut(BaseModel):
    """How a figure spreads; `median` is right to one in a hundred where there are thousands of different values."""

    min: int
    max: int
    mean: float
    median: int | None = None
    histogram: list[BucketOut] = []


class SizeOut(BaseModel):
    """A size of images in pixels, and how many files have it."""

    width: int
    height: int
    files: int


class ImagesOut(BaseModel):
    """Sizes of images in pixels, and how many files are of each mode and kind; `common` are the ten commonest sizes."""

    width: SpreadOut | None
    height: SpreadOut | None
    common: list[SizeOut]
    modes: dict[str, int]
    kinds: dict[str, int]


class TextsOut(BaseModel):
    """Lengths of texts in characters, and how many files are in each encoding."""

    length: SpreadOut | None
    encodings: dict[str, int]


class ClassOut(BaseModel):
    """A class: how many files (rows of a table) have it, and how many objects or entities are of it."""

    name: str
    files: int
    objects: int | None = None


class PairOut(BaseModel):
    """Two classes, and in how many files both are."""

    classes: list[str]
    files: int


class RelatedOut(BaseModel):
    """How often a relation leads from one class to another."""

    model_config = ConfigDict(populate_by_name=True)

    start: str = Field(alias="from")
    relation: str = Field(alias="class")
    end: str = Field(alias="to")
    count: int


class FiguresOut(BaseModel):
    """Figures of the content, as far as they apply and were counted. `objects`, `entities`, `relations` and `events`
    say how many there are of each class, `rows` how many samples are in files that hold many."""

    files: int | None = None
    bytes: int | None = None
    rows: int | None = None
    images: ImagesOut | None = None
    texts: TextsOut | None = None
    objects: dict[str, int] | None = None
    entities: dict[str, int] | None = None
    relations: dict[str, int] | None = None
    events: dict[str, int] | None = None
    together: list[PairOut] | None = None
    related: list[RelatedOut] | None = None
    unannotated: int | None = None


Figures = Annotated[dict[str, Any], DescribedBy(FiguresOut)]


class DetailsOut(BaseModel):
    """One part of a version in figures. What does not apply, or was not counted, is null.

    `together` are the fifty commonest pairs of classes, `related` the fifty commonest relations, `unannotated` the
    images or texts in which nothing is annotated.
    """

    version: int
    part: Part
    files: int
    bytes: int
    rows: int | None
    classes: list[ClassOut]
    images: ImagesOut | None
    texts: TextsOut | None
    relations: dict[str, int] | None
    events: dict[str, int] | None
    together: list[PairOut] | None
    related: list[RelatedOut] | None
    unannotated: int | None

    @classmethod
    def of(cls, version: Version, part: Part, content: Content) -> DetailsOut:
        """The figures that the import left with the version."""
        known = content.figures
        objects = known.get("objects", known.get("entities")) or {}
        names = sorted(content.classes.keys() | objects.keys())
        counted = {name: known.get(name) for name in ("rows", "relations", "events", "together", "related")}
        return cls(
            version=version.number,
            part=part,
            files=content.manifest.files,
            bytes=content.manifest.bytes,
            classes=[ClassOut(name=n, files=content.classes.get(n, 0), objects=objects.get(n)) for n in names],
            images=_images(known.get("images")),
            texts=_texts(known.get("texts")),
            unannotated=known.get("unannotated"),
            **counted,
        )


def _images(known: Mapping[str, Any] | None) -> ImagesOut | None:
    if not known:
        return None
    return ImagesOut(
        width=_spread(known["width"]),
        height=_spread(known["height"]),
        common=known.get("common", []),
        modes=known["modes"],
        kinds=known["kinds"],
    )


def _texts(known: Mapping[str, Any] | None) -> TextsOut | None:
    return TextsOut(length=_spread(known["length"]), encodings=known["encodings"]) if known else None


def _spread(known: Mapping[str, Any]) -> SpreadOut | None:
    return SpreadOut.model_validate(known) if known else None
