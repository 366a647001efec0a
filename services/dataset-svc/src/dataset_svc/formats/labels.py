"""What can be the name of a class, and what is text at all, whatever format says it."""

from __future__ import annotations

import re

LONGEST = 200
"""Characters of a class' name."""

_HALVES = re.compile(r"[\ud800-\udfff]").search


def label_fault(label: str) -> str:
    """Why it can't be the name of a class, in words that follow "it"; empty where it can."""
    if not label.strip():
        return "is empty"
    if len(label) > LONGEST:
        return f"has {len(label):,} characters; a class may have {LONGEST}"
    return "" if label.isprintable() else "has a control character"


def is_text(text: str) -> bool:
    """Whether every character is one: JSON can also say halves of one (RFC 8259 §8.2)."""
    return _HALVES(text) is None
