"""The elements of a list in JSON one after the other, and where each begins, so that a split can part the list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from dataset_svc.formats.decoding import NotText
from dataset_svc.formats.parsing import no_json

_BLANKS = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def is_list(text: str) -> bool:
    """Whether what a text of JSON begins is a list."""
    return _behind("[", text, 0) > 0


def elements(data: bytes, text: str, encoding: str) -> Iterator[tuple[Any, int]]:
    """Each element of a list, and the byte of `data`, from 0, at which it begins. `text` is what `data` says in that
    encoding, without a mark of byte order. Raises NotText (`bad_json`), but not before it comes to what is wrong."""
    byte, seen, at = len(data) - len(text.encode(encoding)), 0, _behind("[", text, 0)
    ends = _behind("]", text, at)
    while not ends:
        byte += len(text[seen:at].encode(encoding))
        value, behind = _element(text, at)
        yield value, byte
        seen, ends = at, _behind("]", text, behind)
        at = ends or _behind(",", text, behind)
        if not at:
            raise _wrong("Expecting ',' delimiter", text, _after(text, behind))
    if ends < len(text):
        raise _wrong("Extra data", text, ends)


def _element(text: str, at: int) -> tuple[Any, int]:
    """The value that begins there, and where it ends. Raises NotText."""
    try:
        return _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        raise no_json(error) from None


def _wrong(reason: str, text: str, at: int) -> NotText:
    """A fault at that place, in the words that `json` has for it."""
    return no_json(json.JSONDecodeError(reason, text, at))


def _behind(mark: str, text: str, at: int) -> int:
    """Where it goes on behind a mark and the blanks around it; 0 where the mark does not come next."""
    at = _after(text, at)
    return _after(text, at + 1) if text.startswith(mark, at) else 0


def _after(text: str, at: int) -> int:
    """Where it goes on behind blanks."""
    found = _BLANKS.match(text, at)
    return found.end() if found else at
