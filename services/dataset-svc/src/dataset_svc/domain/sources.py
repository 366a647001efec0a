"""External sources: where a person's data lies elsewhere, described once and referred to by name (row D11).

The secrets that go with one are sealed before they come here, and no answer ever has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from common.kernel.errors import Unavailable

READY = "ready"


class SourceAway(Unavailable):
    """503, with the code that its source told: not the platform's own storage is away but what a person named, which
    may never come back. Whoever waits for it gives up after a while."""


@dataclass(frozen=True)
class Source:
    """One source. `connection` says where it is (see `common.sources`), `sealed` are its secrets, `credentials` their
    names."""

    id: str
    name: str
    owner: str
    connection: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    sealed: str = field(default="", repr=False)
    credentials: tuple[str, ...] = ()
    description: str = ""
    state: str = READY
    version: int = 1

    def with_secrets(self, sealed: str, names: tuple[str, ...]) -> Source:
        """With other credentials."""
        return replace(self, sealed=sealed, credentials=names)
