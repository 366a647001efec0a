"""Names and descriptions that people give: free text, Chinese included, need not be unique (row T10)."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from common.kernel.errors import Fault, Invalid

LONGEST_NAME = 100
"""Characters of a display name."""

LONGEST_DESCRIPTION = 255
"""Characters of a description (seed 004)."""

_LINE_BREAKS = "\n\r\t"


def name_faults(name: str, where: str = "name") -> list[Fault]:
    """What is wrong with a display name: 1 to 100 characters, not blank, no control characters."""
    if not name.strip():
        return [Fault(where, "A name must not be empty.")]
    if len(name) > LONGEST_NAME:
        return [Fault(where, f"A name has at most {LONGEST_NAME} characters; this one has {len(name)}.")]
    if _controls(name):
        return [Fault(where, "A name holds no control characters or line breaks.")]
    return []


def description_faults(description: str, where: str = "description") -> list[Fault]:
    """What is wrong with a description: at most 255 characters; line breaks and tabs are the only controls."""
    if len(description) > LONGEST_DESCRIPTION:
        reason = f"A description has at most {LONGEST_DESCRIPTION} characters; this one has {len(description)}."
        return [Fault(where, reason)]
    if _controls(description, allowed=_LINE_BREAKS):
        return [Fault(where, "A description holds no control characters but line breaks and tabs.")]
    return []


def raise_faults(kind: str, faults: Iterable[Fault]) -> None:
    """Raise Invalid (`invalid_<kind>`) with all faults at once, if there are any."""
    if found := list(faults):
        named = ", ".join(fault.where for fault in found[:5])
        code = f"invalid_{kind.replace(' ', '_')}"
        raise Invalid(code, f"The {kind} has {len(found)} fault(s): {named}. {found[0].reason}", faults=found)


def _controls(text: str, allowed: str = "") -> bool:
    """Whether it holds control, format-breaking or unpaired surrogate characters."""
    return any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and char not in allowed for char in text)
