"""What the API answers about who uses a dataset."""

from __future__ import annotations

from dataclasses import asdict

from pydantic import BaseModel

from dataset_svc.domain.uses import Uses


class UseOut(BaseModel):
    """One thing that needs the dataset's files: `kind` is job or formatted_set, `state` how it stands."""

    kind: str
    id: str
    name: str
    owner: str
    state: str


class UsesOut(BaseModel):
    """Who uses it, waits to use it or holds its files. `others` counts what the caller may not see; `unknown` names
    services that may use it and can't be asked now; `more`: there are still others."""

    items: list[UseOut]
    others: int
    unknown: list[str]
    more: bool

    @classmethod
    def of(cls, uses: Uses) -> UsesOut:
        """The uses."""
        items = [UseOut(**asdict(use)) for use in uses.items]
        return cls(items=items, others=uses.others, unknown=list(uses.unknown), more=uses.more)
