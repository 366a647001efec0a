"""The envelope in which everything is told: CloudEvents 1.0 with Modelyard's extensions.

Extensions: `dataversion`, `sequence` (counts up per source and subject), `owner`, `actor`, `traceparent` (W3C).
Source: CloudEvents specification 1.0.2 §3.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict


class EventData(BaseModel):
    """What an event says. A subclass declares its `type`, which is its routing key and is frozen for ever."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: ClassVar[str] = ""
    dataversion: ClassVar[int] = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        declared = cls.__dict__.get("type", "")
        if not declared:
            return
        if declared in EVENT_TYPES:
            raise TypeError(f"two classes declare the event type {declared}")
        EVENT_TYPES[declared] = cls


EVENT_TYPES: dict[str, type[EventData]] = {}
"""Every declared event by its type; filled as the contracts are imported."""


class CloudEvent(BaseModel):
    """One event on its way: an envelope round the JSON of an `EventData`."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    dataversion: int = 1
    sequence: int
    owner: str | None = None
    actor: str | None = None
    traceparent: str | None = None
    data: dict[str, Any]

    def payload(self) -> EventData:
        """The typed content. Raises KeyError for a type that nobody declared, ValidationError for wrong content."""
        return EVENT_TYPES[self.type].model_validate(self.data)
