"""Paths that nobody honest sends: they would mean one thing here and another behind us."""

from __future__ import annotations

import string
from urllib.parse import quote

_ESCAPED = (b"%2e", b"%2f", b"%5c", b"%00", b"%0a", b"%0d")
_VISIBLE = string.ascii_letters + string.digits + string.punctuation


def is_safe(raw: bytes) -> bool:
    """Whether a raw (still escaped) path has no `.` or `..` segment, no empty segment and no disguised separator."""
    if b"//" in raw or b"\\" in raw or b"\x00" in raw:
        return False
    if b"/." in raw and any(segment in (b".", b"..") for segment in raw.split(b"/")):
        return False
    if b"%" in raw:
        lowered = raw.lower()
        return not any(escaped in lowered for escaped in _ESCAPED)
    return True


def in_ascii(raw: bytes) -> str:
    """A path or query as it is written on the wire: bytes that some clients send bare are escaped (RFC 3986 §2.1)."""
    return raw.decode("ascii") if raw.isascii() else quote(raw, safe=_VISIBLE)
