"""Where the elements of a list in JSON begin, so that a split can part the list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_BETWEEN = re.compile(r"[ \t\r\n,]*")


def element_bytes(data: bytes, text: str, encoding: str) -> Iterator[int]:
    """The byte of `data`, from 0, at which each element begins, of what was read as a list before: `text` is what it
    says in that encoding, without a mark of byte order."""
    decode = json.JSONDecoder().raw_decode
    byte = len(data) - len(text.encode(encoding))
    seen, at = 0, _after(text, text.index("[") + 1)
    while text[at] != "]":
        byte += len(text[seen:at].encode(encoding))
        yield byte
        seen, at = at, _after(text, decode(text, at)[1])


def _after(text: str, at: int) -> int:
    """Where what comes behind blanks and commas begins."""
    found = _BETWEEN.match(text, at)
    return found.end() if found else at
