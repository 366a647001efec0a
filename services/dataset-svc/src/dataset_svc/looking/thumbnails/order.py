"""What a process that makes thumbnails is asked for, and told once at its beginning."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from dataset_svc.importing.request import ChildLimits

KIND = "thumbnail-1"
"""Another one where thumbnails come to look different."""


@dataclass(frozen=True, slots=True)
class Order:
    """A thumbnail that fits into a square of `size` pixels; `objects` (as they are annotated) are drawn on it."""

    size: int
    objects: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MakerLimits:
    """Limits of a process that makes thumbnails: `seconds` for each, `pixels` of an image that is decoded."""

    child: ChildLimits
    seconds: float = 10.0
    pixels: int = 100_000_000

    def as_json(self) -> dict[str, Any]:
        """The limits for the child."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> MakerLimits:
        """Read what `as_json` gave."""
        return cls(ChildLimits(**row["child"]), row["seconds"], row["pixels"])
