"""Which events somebody may see in the live stream, and how much of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.kernel.events import CloudEvent

_SHARED = ("public", "preset")


def may_hear(user: str, admin: bool, event: CloudEvent) -> bool:
    """Administrators hear all, owners what is theirs, everybody what concerns shared things."""
    return admin or event.owner == user or _visibility(event.data) in _SHARED


def _visibility(data: Mapping[str, Any]) -> str | None:
    """The visibility of what the event is about, which some events carry one level down (`dataset.imported`)."""
    if "visibility" in data:
        return str(data["visibility"])
    inner = data.get("dataset")
    return str(inner["visibility"]) if isinstance(inner, Mapping) and "visibility" in inner else None


def for_users(event: CloudEvent) -> CloudEvent:
    """The event without what only the platform needs: the addresses of replicas, which pass the gateway by."""
    if "endpoints" not in event.data:
        return event
    return event.model_copy(update={"data": {k: v for k, v in event.data.items() if k != "endpoints"}})


def wanted(event_type: str, types: Sequence[str]) -> bool:
    """Whether a type passes a filter of types (`job.started`) and families (`job.*`); an empty one passes all."""
    family = event_type.partition(".")[0] + ".*"
    return not types or event_type in types or family in types
