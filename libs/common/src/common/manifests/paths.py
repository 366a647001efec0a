"""Which paths a manifest may hold: those that mean the same file, inside the folder, on every machine."""

from __future__ import annotations

import re
import unicodedata

from common.kernel.errors import Fault, Invalid

LONGEST_NAME = 255
"""Bytes of one component; what Linux file systems take (NAME_MAX)."""

LONGEST_PATH = 2048
"""Bytes of a whole path; half of PATH_MAX, so that it fits below any folder it is staged into."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*").fullmatch


def check_path(path: str) -> None:
    """Raise Invalid (`bad_path`) unless `path` is relative, NFC, and without empty, `.` or `..` components."""
    if len(path) <= LONGEST_NAME and _PLAIN(path):
        return
    if reason := _what_is_wrong(path):
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise Invalid("bad_path", f"{shown!r} can't be a file's path: {reason}.", faults=[Fault(shown, reason)])


def _what_is_wrong(path: str) -> str | None:
    """Why a path can't be taken, or None."""
    try:
        length = len(path.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode; give the file a name in UTF-8"
    if not path:
        return "it is empty"
    if "\0" in path:
        return "it holds a NUL character"
    if path.startswith("/"):
        return "it is absolute; give it relative to the folder"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "it has an empty, '.' or '..' component"
    if length > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in parts):
        return f"it is longer than {LONGEST_PATH} bytes, or a name in it than {LONGEST_NAME}"
    if not unicodedata.is_normalized("NFC", path):
        return "its Unicode is not normalised (NFC)"
    return None
