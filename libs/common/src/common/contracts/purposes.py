"""What datasets and algorithms are for (用途): a two-level taxonomy that is data, so that more can be added.

Source: seed 002 §2.1.1, row D1. An administrator adds further ones by the settings of each service.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from common.kernel.errors import Fault, Invalid

PURPOSES: dict[str, tuple[str, ...]] = {
    "image": ("classification", "detection", "segmentation"),
    "text": ("classification", "entity", "relation"),
}
"""First level → second level."""

_SHAPE = re.compile(r"[a-z0-9][a-z0-9_-]{0,38}/[a-z0-9][a-z0-9_-]{0,38}")


def all_purposes(more: Iterable[str] = ()) -> tuple[str, ...]:
    """Every purpose as `first/second`: the known ones, then those of the administrator.

    Raises ValueError for an added one that is not of that form.
    """
    added = tuple(more)
    if bad := [text for text in added if not _SHAPE.fullmatch(text)]:
        raise ValueError(f"{bad[0]!r} is no purpose; write it as first/second, in lower-case letters and digits.")
    known = tuple(f"{first}/{second}" for first, seconds in PURPOSES.items() for second in seconds)
    return tuple(dict.fromkeys(known + added))


def purpose_faults(text: str, more: Iterable[str] = (), where: str = "purpose") -> list[Fault]:
    """What is wrong with a purpose that somebody named; empty where there is one of that name."""
    purposes = all_purposes(more)
    if text in purposes:
        return []
    return [Fault(where, f"There is no purpose {text[:80]!r}. Choose one of: {', '.join(purposes)}.")]


def check_purpose(text: str, more: Iterable[str] = ()) -> str:
    """The purpose itself. Raises Invalid (`unknown_purpose`) where there is none of that name."""
    if faults := purpose_faults(text, more):
        raise Invalid("unknown_purpose", faults[0].reason, faults=faults)
    return text
