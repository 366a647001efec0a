"""What happened to a dataset, for whoever answers for it: who did what, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from dataset_svc.domain.dataset import Dataset
from dataset_svc.domain.imports import Import

_TOLD = ("description", "purpose", "annotation", "format", "test_mode")


class Deed(StrEnum):
    """What can happen to a dataset."""

    CREATED = "created"
    RENAMED = "renamed"
    EDITED = "edited"
    IMPORTED = "imported"
    IMPORT_FAILED = "import_failed"
    IMPORT_CANCELLED = "import_cancelled"
    VERSION_DESCRIBED = "version_described"
    VISIBILITY = "visibility"
    ONLINE = "online"
    OFFLINE = "offline"
    DELETED = "deleted"


@dataclass(frozen=True)
class Entry:
    """One thing that happened. `changes` says `{field: [before, after]}`, `detail` what else is to be known of it."""

    deed: Deed
    at: datetime
    actor: str | None
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


def deeds_between(before: Dataset, after: Dataset) -> dict[Deed, dict[str, tuple[Any, Any]]]:
    """What a person did to make one of the other: each deed with the fields that it changed."""
    parts = {Deed.RENAMED: ("name",), Deed.EDITED: _TOLD, Deed.VISIBILITY: ("visibility",)}
    found = {deed: changes_between(before, after, fields) for deed, fields in parts.items()}
    return {deed: changes for deed, changes in found.items() if changes}


def about_import(item: Import) -> dict[str, str]:
    """Which import it is."""
    return {"import_id": item.id, "part": str(item.part), "filename": item.name}


def changes_between(before: object, after: object, fields: tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """Which of these fields are another, with what they were and what they are."""
    pairs = {name: (str(getattr(before, name)), str(getattr(after, name))) for name in fields}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
