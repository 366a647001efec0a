"""Names of members: in which character set they are, whether they are safe, and what is only an operating
system's litter."""

from __future__ import annotations

import re
import unicodedata

LONGEST_NAME = 255
"""Bytes of one component in UTF-8; what Linux file systems take (NAME_MAX)."""

LONGEST_PATH = 2048
"""Bytes of a whole path in UTF-8; what a manifest takes."""

obviously_safe = re.compile(r"(?:[0-9A-Za-z][0-9A-Za-z_.\- ]*/)*[0-9A-Za-z][0-9A-Za-z_.\- ]*/?").fullmatch
"""A quick yes for the names that nearly all members have; anything else goes through `what_is_wrong`."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]").search
_DRIVE = re.compile(r"[A-Za-z]:").match
_LITTER_FOLDERS = frozenset({"__MACOSX", ".Spotlight-V100", ".Trashes", ".fseventsd", "@eaDir"})
LITTER_FILES = ("Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", ".DS_Store")
"""Files that Windows and macOS leave in folders."""


def what_is_wrong(path: str, depth: int) -> tuple[str, str] | None:
    """Why a member of that name is refused, as a code and a reason, or None. A folder's name ends with `/`.

    Source: APPNOTE 6.3.10 §4.4.17 (relative, forward slashes only, no drive).
    """
    parts = path.removesuffix("/").split("/")
    if path.startswith("/"):
        return "path_absolute", "its name is absolute; pack the files with relative names"
    if _DRIVE(path):
        return "path_drive", "its name begins with a drive letter; pack the files with relative names"
    if "\\" in path:
        return "path_backslash", "its name has a backslash, which is a folder on one system and not on another"
    if ".." in parts:
        return "path_traversal", "its name has a '..', which leads out of the dataset"
    if "" in parts or "." in parts:
        return "path_empty_component", "its name has an empty or '.' component"
    if _CONTROL(path):
        return "path_control", "its name has a control character"
    if len(path.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in parts):
        return "path_too_long", f"its name is longer than {LONGEST_PATH} bytes, or a part of it than {LONGEST_NAME}"
    if len(parts) > depth:
        return "path_too_deep", f"its name has {len(parts)} parts, folders and its own; at most {depth} are allowed"
    return None


def is_litter(path: str) -> bool:
    """Whether a member is an operating system's own note about the folder, and none of its content."""
    parts = path.removesuffix("/").split("/")
    return parts[-1] in LITTER_FILES or parts[-1].startswith("._") or not _LITTER_FOLDERS.isdisjoint(parts)


def fold(path: str) -> str:
    """What two names have in common that some file system takes for one: Unicode form and case.

    Source: The Unicode Standard §3.13, D145 (canonical caseless matching).
    """
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())


class Charset:
    """Finds the character set of names that carry no declaration, from all of them together.

    One name alone can't tell: 小 in GBK is also a valid Cyrillic letter in UTF-8. So every undeclared name is
    shown to `see`, and `name` decides once for all: UTF-8 unless some name is not valid UTF-8; and where all are
    valid but none has a sequence of three bytes (as every Chinese character would), names from DOS and Windows
    are GB18030, since those systems never write undeclared UTF-8.
    """

    def __init__(self) -> None:
        self._utf8 = True
        self._long = False
        self._unix = False

    def see(self, raw: bytes, *, unix: bool) -> None:
        """Take one undeclared name in, and whether it was packed on Unix or macOS."""
        self._unix = self._unix or unix
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            self._utf8 = False
        else:
            self._long = self._long or any(character > "\u07ff" for character in text)

    @property
    def name(self) -> str:
        """`utf-8` or `gb18030`, as Python calls them."""
        return "utf-8" if self._utf8 and (self._long or self._unix) else "gb18030"
