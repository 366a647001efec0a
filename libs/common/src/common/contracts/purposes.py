"""What a dataset or an algorithm is for (用途), two levels: data, not code, so that more can be added.

Source: seed 002 §2.1.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from common.kernel.errors import Fault, Invalid

PURPOSES: dict[str, tuple[str, ...]] = {
    "image": ("classification", "detection", "segmentation"),
    "text": ("classification", "entity", "relation"),
}
"""The second level by the first."""


def known_purposes(more: Sequence[str] = ()) -> tuple[str, ...]:
    """All of them as `first/second`, those that an administrator added at the end."""
    return (*(f"{first}/{second}" for first, seconds in PURPOSES.items() for second in seconds), *more)


def check_purpose(text: str, more: Sequence[str] = ()) -> None:
    """Raise Invalid (`unknown_purpose`), naming what there is, where `text` is no purpose."""
    if text not in known_purposes(more):
        reason = f"{text[:60]!r} is no purpose. There are: {', '.join(known_purposes(more))}."
        raise Invalid("unknown_purpose", reason, faults=[Fault("purpose", reason)])
