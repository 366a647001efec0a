"""Dead letters that a broker keeps: deliveries that never got as far as an inbox.

Those of handlers that fail are kept by the inbox itself (`common.db.inbox`). A bus that keeps nothing has none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol


@dataclass(frozen=True)
class DeadDelivery:
    """A message as it lies there. `reason` is the broker's: `rejected`, `delivery_limit` …; `since` is when it died."""

    queue: str
    message_id: str
    reason: str
    body: bytes
    since: datetime | None = None

    @property
    def id(self) -> str:
        """By what it is found again: the message's own id, or its content's digest where it has none."""
        return self.message_id or f"sha256-{sha256(self.body).hexdigest()[:32]}"


class DeadDeliveries(Protocol):
    """Of each queue the dead letters. Every method raises BusUnavailable."""

    async def list(self, queue: str) -> Sequence[DeadDelivery]:
        """The oldest of them, which stay."""
        ...

    async def replay(self, queue: str, ids: Collection[str] | None = None) -> Sequence[str]:
        """Give these back to their queue, or all; gives the ids of those that were there."""
        ...
