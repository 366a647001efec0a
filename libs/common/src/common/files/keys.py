"""Which keys and ranges the file store takes: the same in every adapter, so that it can be moved to another kind."""

from __future__ import annotations

from common.kernel.errors import Invalid

LONGEST_KEY = 1024
"""Bytes of a whole key; what S3 takes."""

LONGEST_PART = 255
"""Bytes between two slashes; what a file system takes."""


def check_key(key: str) -> None:
    """Raise Invalid (`bad_key`) unless `key` is a relative path without empty, `.` or `..` components."""
    if reason := _what_is_wrong(key):
        shown = key.encode("utf-8", "backslashreplace").decode()
        raise Invalid("bad_key", f"{shown!r} can't be a key of the file store: {reason}.")


def check_prefix(prefix: str) -> None:
    """Raise Invalid (`bad_key`) unless some key can start with `prefix`, which may end anywhere."""
    if prefix:
        check_key(f"{prefix}x")


def check_range(key: str, start: int, end: int | None) -> None:
    """Raise Invalid: `bad_key`, or `bad_range` for positions before the beginning."""
    check_key(key)
    if start < 0 or (end is not None and end < 0):
        raise Invalid("bad_range", f"A range of {key} can't begin or end before byte 0.")


def _what_is_wrong(key: str) -> str | None:
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if not key:
        return "it is empty"
    if length > LONGEST_KEY:
        return f"it is longer than {LONGEST_KEY} bytes"
    if any(ord(character) < 32 or character in "\\\x7f" for character in key):
        return "it holds a control character or a backslash"
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it has an empty, '.' or '..' component; it must be a relative path"
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        return f"a part of it is longer than {LONGEST_PART} bytes"
    return None
