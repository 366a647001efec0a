"""An annotation file's JSON: read whole where it is small, entry by entry as it streams by where it isn't."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import ijson

from dataset_svc.formats.decoding import NotText, decode
from dataset_svc.formats.parsing import parsed
from dataset_svc.formats.texts import Reader

LISTED = None
"""Stands for a name where a file is no object, which should be a list then."""

Content = dict[Any, Any]
"""What a file says by name; what one that is no object says has LISTED as its name."""
Entry = tuple[str | None, int | None, Any]
"""The section that it is in and its number there from 0; no number: the value by a name, a section's still empty."""


class Wanted(NamedTuple):
    """Of which lists the entries are wanted, and which names' values: of no others is anything kept."""

    sections: tuple[str | None, ...]
    names: frozenset[str]


_DEEPEST = 64
_LONGEST_ENTRY = 16 << 20
"""Bytes of what must be at hand whole: an entry of a section, or a value by a name."""
_LONGEST_VALUE = 64 << 20
"""Bytes of what is passed over and yet must be at hand, such as an image within a LabelMe file."""
_AROUND = re.compile(r"""^b["']|(\\n|\n).*""", re.DOTALL)
"""What ijson puts around what it says: a piece of the file below it, and all of it as bytes where that is cut."""
_OPENING, _CLOSING = frozenset({"start_map", "start_array"}), frozenset({"end_map", "end_array"})


def entries(data: bytes, wanted: Wanted) -> Iterator[Entry]:
    """What is wanted of a file that is at hand, as `stream` gives it. Raises NotText."""
    found = parsed(decode(data)[0])
    if not isinstance(found, dict):
        if LISTED not in wanted.sections:
            raise NotText("not_an_object", _NOT_AN_OBJECT)
        found = {LISTED: found}
    for name, value in found.items():
        if name in wanted.sections and isinstance(value, list):
            yield name, None, []
            yield from ((name, number, entry) for number, entry in enumerate(value))
        elif name in wanted.sections or name in wanted.names:
            yield name, None, value


_NOT_AN_OBJECT = "The file is JSON, but no object. COCO and LabelMe files are objects."


def stream(chunks: Iterator[bytes], wanted: Wanted, take: Callable[[Entry], None]) -> Iterator[bytes]:
    """Give what is wanted of a file to `take` while it streams by, and pass it on. Raises NotText after all has
    passed."""
    source = _Source(chunks)
    fault: NotText | None = None
    try:
        for entry in _Entries(source, wanted).all():
            if entry is not None:
                take(entry)
            yield from source.passed()
    except (ijson.JSONError, ValueError) as error:
        fault = _no_json(error) if source.is_text() else NotText("not_text", _NOT_UTF_8)
    except NotText as error:
        fault = error
    yield from source.passed()
    yield from chunks
    if fault is not None:
        raise fault


def _no_json(error: Exception) -> NotText:
    """What the parser says is wrong, as one sentence."""
    return NotText("bad_json", f"This is no JSON: {_AROUND.sub('', str(error))[:200].rstrip('.')}.")


_NOT_UTF_8 = "JSON that is too large to be held in memory must be UTF-8, and this file is not. Save it as UTF-8."


class _Source:
    """What ijson reads from, without a mark of byte order; remembers what it gave. It gives `left` bytes more, and
    raises NotText (`value_too_long`) where more are asked for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._passed: deque[bytes] = deque()
        self._reader = Reader("utf-8")
        self._rest = memoryview(self._first().removeprefix(codecs.BOM_UTF8))
        self.left = _LONGEST_VALUE
        self._left_before = -1

    def read(self, size: int = -1) -> bytes:
        """The next bytes. At most as many as were asked for, since the parser makes all events of them at once; but a
        value that goes on for long comes in large pieces, since the parser looks at all of it with each."""
        if not size:
            return b""  # the parser asks for nothing first, to see whether it is text or bytes
        if self.left < 0:
            raise NotText("value_too_long", _TOO_LONG)
        if not self._rest:
            self._rest = memoryview(self._next())
        goes_on = self.left == self._left_before
        piece = bytes(self._rest if goes_on or size < 0 else self._rest[:size])
        self._rest = self._rest[len(piece) :]
        self.left -= len(piece)
        self._left_before = self.left
        return piece

    def is_text(self) -> bool:
        """Whether it is UTF-8 so far."""
        return self._reader.goes_well()

    def _first(self) -> bytes:
        """As much as a mark of byte order, or more."""
        first = self._next()
        while len(first) < len(codecs.BOM_UTF8) and (chunk := self._next()):
            first += chunk
        return first

    def _next(self) -> bytes:
        """The next chunk; empty where there is none."""
        chunk = next(self._chunks, b"")
        self._reader.feed(chunk, final=not chunk)
        if chunk:
            self._passed.append(chunk)
        return chunk

    def __bool__(self) -> bool:
        """Whether something was read since the last time."""
        return bool(self._passed)

    def passed(self) -> Iterator[bytes]:
        """What was read since the last time."""
        while self._passed:
            yield self._passed.popleft()


_TOO_LONG = (
    f"One value in this JSON has more than {_LONGEST_ENTRY >> 20} MiB (a text, such as LabelMe's imageData, more than "
    f"{_LONGEST_VALUE >> 20} MiB). Split it; in a LabelMe file set imageData to null."
)


class _Entries:
    """Puts what is wanted together from a parser's events, and passes over the rest."""

    def __init__(self, source: _Source, wanted: Wanted) -> None:
        self._source, self._wanted = source, wanted
        self._depth = self._base = 0
        self._name: str | None = LISTED
        self._number: int | None = None
        self._builder: Any = None

    def all(self) -> Iterator[Entry | None]:
        """The entries as they come; None where there is none, and something may pass. Raises NotText."""
        for event, value in ijson.basic_parse(self._source, use_float=True):
            before = self._depth
            self._depth += (event in _OPENING) - (event in _CLOSING)
            if self._depth > _DEEPEST:
                raise NotText("bad_json", f"This JSON is nested more than {_DEEPEST} deep.")
            if self._builder is not None:
                self._builder.event(event, value)
                if self._depth == self._base:
                    yield self._built(self._builder.value)
            elif before == self._base:
                yield self._next(event, value)
            elif self._source:
                yield None
            if self._builder is None:
                self._source.left = _LONGEST_VALUE

    def _next(self, event: str, value: Any) -> Entry | None:
        """What comes where the values are that may be wanted: of the file's names, or in a section."""
        if event == "map_key":
            self._name = value
        elif event in _CLOSING:
            self._base, self._number = 1, None
        elif not self._base and event == "start_map":
            self._base = 1
        elif not self._base and LISTED not in self._wanted.sections:
            raise NotText("not_an_object", _NOT_AN_OBJECT)
        elif self._number is None and self._name in self._wanted.sections:
            return self._begun(event)
        elif self._number is not None or self._name in self._wanted.names:
            return self._value(event, value)
        return None

    def _begun(self, event: str) -> Entry:
        """A section, which should be a list."""
        if event == "start_array":
            self._base, self._number = self._depth, 0
        return self._name, None, [] if event == "start_array" else event

    def _value(self, event: str, value: Any) -> Entry | None:
        """A value is there, or begins."""
        if event not in _OPENING:
            return self._built(value)
        self._builder = ijson.ObjectBuilder()
        self._builder.event(event, value)
        self._source.left = _LONGEST_ENTRY
        return None

    def _built(self, value: Any) -> Entry:
        """A value is whole."""
        self._builder = None
        entry = self._name, self._number, value
        if self._number is not None:
            self._number += 1
        return entry
