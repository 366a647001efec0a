"""Texts by tokens: a token and its tag a line, an empty line between two texts (CoNLL-2003; BIO, BMES, BIOES …)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from dataset_svc.formats.labels import label_fault
from dataset_svc.formats.marked import Marked
from dataset_svc.formats.port import Sink

_TAG = re.compile(r"([BIMESLUW])-(.+)", re.DOTALL).fullmatch
_OUTSIDE = frozenset({"O", "X", "_"})
_DOCUMENT = "-DOCSTART-"
_LONGEST = 20_000
"""Tokens of one text."""
_ALONE, _LAST, _BEGIN = "SUW", "EL", "B"
_IDEOGRAPHS = 0x2E80
"""From here on characters stand beside one another without a blank."""


class Text(NamedTuple):
    """A text, the line of its first token (from 1), and that in which it begins: what heads its document is its own."""

    line: int
    begins: int
    marked: Marked


class Tokens:
    """Puts texts together from lines of one file."""

    def __init__(self, path: str, sink: Sink) -> None:
        self._path, self._sink = path, sink
        self._begins = 0
        self._begin("", 0)

    def texts(self, lines: Iterator[str]) -> Iterator[Text]:
        """The texts, one after the other."""
        for number, line in enumerate(lines, 1):
            cells = _cells(line)
            if cells and cells[0] == _DOCUMENT:
                self._begins = self._begins or (0 if self._count else number)
                continue
            if self._count >= _LONGEST:
                reason = f"This text has more than {_LONGEST:,} tokens. An empty line ends a text."
                self._sink.error("text_too_large", self._path, reason, self._line)
            if not cells or self._count >= _LONGEST:
                yield from self._ended()
            if cells:
                self._take(number, cells)
        yield from self._ended()

    def _begin(self, text: str, line: int) -> None:
        self._text, self._line, self._count = text, line, 0
        self._begins = 0
        self._open: tuple[str, int] | None = None
        self._found: list[tuple[str, int, int]] = []

    def _ended(self) -> Iterator[Text]:
        """The text as far as it has come, if there is any."""
        self._close()
        if not self._count:
            return
        marked = Marked(self._text)
        for number, (label, start, end) in enumerate(self._found):
            entity = {"id": str(number), "class": label, "spans": [[start, end]], "text": self._text[start:end]}
            marked.entities.append(entity)
        yield Text(self._line, self._begins or self._line, marked)
        self._begin("", 0)

    def _take(self, number: int, cells: list[str]) -> None:
        """One token."""
        if len(cells) < 2 or not cells[0]:
            reason = "A line is a token, a tab or blank, and its tag; an empty line ends a text."
            self._sink.error("wrong_columns", self._path, reason, number)
            return
        token, tag = cells[0], cells[-1].strip()
        self._line = self._line or number
        self._count += 1
        joined = bool(self._text) and max(ord(self._text[-1]), ord(token[0])) < _IDEOGRAPHS
        start = len(self._text) + joined
        if tag in _OUTSIDE:
            self._close()
        self._text += " " * joined + token
        if tag not in _OUTSIDE:
            self._tagged(number, tag, start)

    def _tagged(self, number: int, tag: str, start: int) -> None:
        """A token of an entity, whose characters begin at `start`."""
        parts = _TAG(tag)
        if parts is None or label_fault(parts[2]):
            reason = f"The tag {tag[:60]!r} is none: write O, or B-, I- (M-, E-, S-, L-, U-) and a class."
            self._sink.error("bad_tag", self._path, reason, number)
            return self._close()
        place, label = parts[1], parts[2]
        if place in _BEGIN + _ALONE or self._open is None or self._open[0] != label:
            if place not in _BEGIN + _ALONE:
                reason = f"The tag {tag[:60]!r} goes on with what did not begin; it is taken as a beginning."
                self._sink.warning("loose_tag", self._path, reason, number)
            self._close(start)
            self._open = (label, start)
        if place in _ALONE + _LAST:
            self._close()
        return None

    def _close(self, before: int | None = None) -> None:
        """The open entity ends here, or before a token that begins at `before`."""
        if self._open is not None:
            label, start = self._open
            end = len(self._text[:before].rstrip()) if before is not None else len(self._text)
            self._found.append((label, start, end))
            self._open = None


def _cells(line: str) -> list[str]:
    """The columns of a line; none where it ends a text."""
    line = line.rstrip("\r\n")
    if "\t" in line:
        return line.split("\t")
    return line.split()
