"""What is annotated in a file, as sample pages say it; `kind` tells which of these it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from dataset_svc.schemas.passing import DescribedBy


class _Shown(BaseModel):
    """Some names are words of Python."""

    model_config = ConfigDict(populate_by_name=True)


class ObjectOut(_Shown):
    """One object: its box is left, top, width and height in pixels; a polygon is x, y, x, y …"""

    id: str
    label: str = Field(alias="class")
    box: list[float]
    polygons: list[list[float]] = []
    crowd: bool = False


class ObjectsOut(BaseModel):
    """What is drawn on an image."""

    kind: Literal["objects"]
    width: int
    height: int
    objects: list[ObjectOut]


class LabelsOut(BaseModel):
    """The classes of an image."""

    kind: Literal["labels"]
    width: int
    height: int
    labels: list[str]


class EntityOut(_Shown):
    """What is marked in a text, in one span or several: offsets in characters, the end exclusive."""

    id: str
    label: str = Field(alias="class")
    spans: list[tuple[int, int]]
    text: str


class RelationOut(_Shown):
    """One entity's relation to another, by their ids."""

    id: str
    label: str = Field(alias="class")
    start: str = Field(alias="from")
    end: str = Field(alias="to")


class SpansOut(BaseModel):
    """What is marked in a text; the last three as brat has them."""

    kind: Literal["spans"]
    entities: list[EntityOut]
    relations: list[RelationOut]
    events: list[dict[str, Any]] = []
    attributes: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []


class RowOut(_Shown):
    """One of the samples in a file: `line` is that in which it begins, or its number in a list, from 1. A row of a
    table has a class, a text with entities has those. A long text is cut off."""

    line: int
    text: str
    label: str | None = Field(default=None, alias="class")
    entities: list[EntityOut] = []
    relations: list[RelationOut] = []


class RowsOut(BaseModel):
    """The samples of a file that are on this page; `total` is how many there are in all, of the class that is asked
    for."""

    kind: Literal["rows"]
    total: int
    rows: list[RowOut]


class AnnotationsOut(RootModel[ObjectsOut | LabelsOut | SpansOut | RowsOut]):
    """What is annotated in a file."""


Annotations = Annotated[dict[str, Any], DescribedBy(AnnotationsOut)]
