"""Everything that dataset-svc hears. Nothing so far: datasets follow only what people do with them."""

from __future__ import annotations

from common.db.inbox import Reactions


def reactions() -> Reactions:
    """What is done at which event."""
    return {}
