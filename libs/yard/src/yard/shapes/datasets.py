"""Datasets, their versions and samples, and formatted sets."""

from __future__ import annotations

from typing import Any, TypedDict

from yard.shapes.common import Resource
from yard.shapes.imports import Import


class DatasetVersion(TypedDict, total=False):
    """An immutable import of a dataset, named by its content digest."""

    number: int
    digest: str
    name: str
    description: str
    files: int
    bytes: int
    classes: dict[str, int]


class Comparison(TypedDict, total=False):
    """What is another in one version than in another; `items` are files that were added, removed, changed, renamed."""

    before: dict[str, Any]
    after: dict[str, Any]
    same: bool
    totals: dict[str, dict[str, int]]
    items: list[dict[str, Any]]
    next_cursor: str | None


class Uses(TypedDict, total=False):
    """Who uses a dataset; `others` counts what one may not see, `unknown` names services that can't be asked now."""

    items: list[dict[str, Any]]
    others: int
    unknown: list[str]
    more: bool


class Deed(TypedDict, total=False):
    """One thing that happened to a dataset."""

    deed: str
    at: str
    actor: str | None
    changes: dict[str, list[Any]]
    detail: dict[str, Any]


class Dataset(Resource, total=False):
    """A dataset; only an online one can be used by jobs."""

    online: bool
    purpose: str
    annotation: str
    format: str
    test_mode: str
    current_version: DatasetVersion | None
    imports: list[Import]


class FormattedSet(Resource, total=False):
    """A part of a dataset version in a format; `progress` from 0 to 1."""

    format: str
    origin: dict[str, Any]
    cut: dict[str, Any]
    complement: dict[str, Any] | None
    progress: float
    records: int
    classes: dict[str, int]
    files: int
    bytes: int
    manifest: dict[str, Any] | None
    reason: str


class Sample(TypedDict, total=False):
    """One file of a dataset, and what is annotated in it."""

    path: str
    size: int
    sha256: str
    url: str
    thumbnail: str | None
    annotations: dict[str, Any] | None
