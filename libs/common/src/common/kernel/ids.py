"""Identifiers: a kind prefix and a lower-case ULID, sortable by creation and valid as a path or Kubernetes name."""

from __future__ import annotations

import re

from ulid import ULID

_SHAPE = re.compile(r"^[a-z][a-z0-9]*-[0-9a-hjkmnp-tv-z]{26}$")


def new_id(kind: str) -> str:
    """A fresh identifier such as `job-01k…`; later ones sort after earlier ones (ULID specification)."""
    return f"{kind}-{str(ULID()).lower()}"


def is_id(text: str, kind: str | None = None) -> bool:
    """Whether `text` has an identifier's shape (and is of that kind)."""
    return bool(_SHAPE.match(text)) and (kind is None or text.startswith(f"{kind}-"))
