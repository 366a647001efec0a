"""What the API answers about a dataset's history. Times in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from dataset_svc.domain.history import Deed, Entry


class EntryOut(BaseModel):
    """One thing that happened to a dataset: what, when, by whom. `changes` says `{field: [before, after]}`; `detail`
    has what else is to be known, such as the version and digest of an import, or why it failed."""

    deed: Deed
    at: datetime
    actor: str | None
    changes: dict[str, tuple[Any, Any]]
    detail: dict[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> EntryOut:
        """The entry."""
        return cls(
            deed=entry.deed, at=entry.at, actor=entry.actor, changes=dict(entry.changes), detail=dict(entry.detail)
        )
