"""Who uses a dataset, as far as somebody who wants to take it away may know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Use:
    """One thing that needs the dataset's files: a job, a formatted set."""

    kind: str
    id: str
    name: str
    owner: str
    state: str


@dataclass(frozen=True)
class Uses:
    """Those that may be named, and how many others there are. `unknown` are services that may use it and could not be
    asked; `more` says that there are still others, uncounted."""

    items: Sequence[Use] = ()
    others: int = 0
    unknown: Sequence[str] = ()
    more: bool = False

    def sentence(self, most: int = 5) -> str:
        """For people: at most `most` by name."""
        named = [f"{use.kind.replace('_', ' ')} {use.name!r} ({use.id})" for use in self.items[:most]]
        rest = len(self.items) - len(named) + self.others
        named += [f"{rest} more" if named else f"{rest} of others'"] if rest else []
        perhaps = [f"something in {service}, which can't be asked now" for service in self.unknown]
        listed = ", ".join(named)
        if self.more:
            listed = f"{listed} and others" if listed else "others"
        told = [f"It is used by {listed}."] if listed else []
        told += [f"It may be used by {', '.join(perhaps)}."] if perhaps else []
        return " ".join(told) or "Nothing uses it at present."
