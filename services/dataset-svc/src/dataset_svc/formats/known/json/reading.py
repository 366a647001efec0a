"""An annotation file's JSON: read whole where it is small, entry by entry as it streams by where it isn't."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import ijson

from dataset_svc.formats.decoding import NotText, decode
from dataset_svc.formats.known.json.coco import SECTIONS, CocoFile

_DEEPEST = 64


def load(data: bytes) -> dict[str, Any]:
    """The object that a file is. Raises NotText (`bad_json`, `not_an_object`, and what `decode` raises)."""
    found = parsed(decode(data)[0])
    if not isinstance(found, dict):
        raise NotText("not_an_object", "The file is JSON, but no object. COCO and LabelMe files are objects.")
    return found


def parsed(text: str) -> Any:
    """What a text of JSON says. Raises NotText (`bad_json`)."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise NotText("bad_json", f"This is no JSON: {error.msg} (column {error.colno}).", error.lineno) from None
    except (ValueError, RecursionError):
        raise NotText(
            "bad_json", "This is no JSON that can be read: it is nested too deep, or has huge numbers."
        ) from None


def feed(coco: CocoFile, content: dict[str, Any]) -> None:
    """Give a file that was read whole to its checker. Raises NotText (`bad_section`)."""
    for section in SECTIONS:
        if section in content:
            if not isinstance(content[section], list):
                raise NotText("bad_section", f"{section!r} is no list.")
            coco.begin(section)
            for number, entry in enumerate(content[section]):
                coco.take(section, number, entry)


def stream(coco: CocoFile, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Give a file to its checker while it streams by, and pass it on. Raises NotText after all has passed."""
    source = _Source(chunks)
    fault: NotText | None = None
    try:
        for section, number, entry in _entries(source, coco.begin):
            coco.take(section, number, entry)
            yield from source.passed()
    except (ijson.JSONError, ValueError) as error:
        fault = NotText("bad_json", f"This is no JSON: {str(error)[:200]}.")
    except NotText as error:
        fault = error
    yield from source.passed()
    yield from chunks
    if fault is not None:
        raise fault


class _Source:
    """What ijson reads from; remembers what it gave."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._passed: deque[bytes] = deque()
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most as many as were asked for: the parser makes all events of them at once."""
        if not self._rest and size:
            self._rest = next(self._chunks, b"")
            if self._rest:
                self._passed.append(self._rest)
        piece = self._rest[:size] if size >= 0 else self._rest
        self._rest = self._rest[len(piece) :]
        return piece

    def passed(self) -> Iterator[bytes]:
        """What was read since the last time."""
        while self._passed:
            yield self._passed.popleft()


def _entries(source: _Source, begin: Callable[[str], None]) -> Iterator[tuple[str, int, Any]]:
    """Section, number and entry, as they come."""
    depth, section, number = 0, "", 0
    builder: Any = None
    for event, value in ijson.basic_parse(source, use_float=True):
        if not depth and event != "start_map":
            raise NotText("not_an_object", "The file is JSON, but no object. COCO and LabelMe files are objects.")
        if event in ("start_map", "start_array"):
            depth += 1
            if depth > _DEEPEST:
                raise NotText("bad_json", f"This JSON is nested more than {_DEEPEST} deep.")
        elif event in ("end_map", "end_array"):
            depth -= 1
        if builder is None:
            if depth == 1 and event == "map_key":
                section, number = value, 0
            elif section in SECTIONS and depth == 2 and event == "start_array":
                begin(section)
            elif section in SECTIONS and depth == 3 and event == "start_map":
                builder = ijson.ObjectBuilder()
        if builder is not None:
            builder.event(event, value)
            if depth == 2:
                yield section, number, builder.value
                builder, number = None, number + 1
