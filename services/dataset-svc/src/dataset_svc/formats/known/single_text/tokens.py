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
_LONGEST_TEXT = 4 << 20
"""Characters of one text."""
_ALONE, _LAST, _BEGIN = "SUW", "EL", "B"
_IDEOGRAPHS = 0x2E80
"""From here on characters stand beside one another without a blank."""


class Text(NamedTuple):
    """A text, the line of its first token (from 1), and that in which it begins: what heads its document is its own,
    unless that is what ends the text before."""

    line: int
    begins: int
    marked: Marked


class Tokens:
    """Puts texts together from lines of one file."""

    def __init__(self, path: str, sink: Sink) -> None:
        self._path, self._sink = path, sink
        self._length = self._line = self._count = self._begins = 0
        self._begin()

    def texts(self, lines: Iterator[str]) -> Iterator[Text]:
        """The texts, one after the other."""
        for number, line in enumerate(lines, 1):
            cells = _cells(line)
            full = self._count >= _LONGEST or self._length >= _LONGEST_TEXT
            if cells and cells[0] == _DOCUMENT:
                yield from self._headed(number)
                continue
            if not cells or full:
                yield from self._ended(goes_on=full and bool(cells))
            if cells:
                self._take(number, cells)
        yield from self._ended()

    def _begin(self) -> None:
        """Nothing of a text is there yet."""
        self._pieces: list[str] = []
        self._length = self._line = self._count = self._begins = 0
        self._open: tuple[str, int] | None = None
        self._found: list[tuple[str, int, int]] = []

    def _headed(self, number: int) -> Iterator[Text]:
        """A document begins in that line. Right behind a text the line is what ends that text, and stays with it: put
        beside one another without it, texts of a split would be one."""
        if self._count:
            yield from self._ended()
        else:
            self._begins = self._begins or number

    def _ended(self, *, goes_on: bool = False) -> Iterator[Text]:
        """The text as far as it has come, if there is any. One that is too large is told, be it that it goes on."""
        self._close()
        if not self._count:
            return
        if goes_on or self._length > _LONGEST_TEXT:
            reason = f"This text has more than {_LONGEST:,} tokens or {_LONGEST_TEXT:,} characters."
            self._sink.error("text_too_large", self._path, f"{reason} An empty line ends a text.", self._line)
        marked = Marked("".join(self._pieces))
        for number, (label, start, end) in enumerate(self._found):
            entity = {"id": str(number), "class": label, "spans": [[start, end]], "text": marked.text[start:end]}
            marked.entities.append(entity)
        yield Text(self._line, self._begins or self._line, marked)
        self._begin()

    def _take(self, number: int, cells: list[str]) -> None:
        """One token."""
        if len(cells) < 2 or not cells[0]:
            reason = "A line is a token, a tab or blank, and its tag; an empty line ends a text."
            self._sink.error("wrong_columns", self._path, reason, number)
            return
        token, tag = cells[0], cells[-1].strip()
        self._line = self._line or number
        self._count += 1
        joined = bool(self._pieces) and max(ord(self._pieces[-1][-1]), ord(token[0])) < _IDEOGRAPHS
        ends = self._tagged(number, tag, self._length + joined)
        self._pieces.append(" " * joined + token)
        self._length += joined + len(token)
        if ends:
            self._close()

    def _tagged(self, number: int, tag: str, start: int) -> bool:
        """What the tag of a token says that begins at `start`; gives whether an entity ends with it."""
        if tag in _OUTSIDE:
            self._close()
            return False
        parts = _TAG(tag)
        if parts is None or label_fault(parts[2]):
            reason = f"The tag {tag[:60]!r} is none: write O, or B-, I- (M-, E-, S-, L-, U-) and a class."
            self._sink.error("bad_tag", self._path, reason, number)
            self._close()
            return False
        place, label = parts[1], parts[2]
        if place in _BEGIN + _ALONE or self._open is None or self._open[0] != label:
            if place not in _BEGIN + _ALONE:
                reason = f"The tag {tag[:60]!r} goes on with what did not begin; it is taken as a beginning."
                self._sink.warning("loose_tag", self._path, reason, number)
            self._close()
            self._open = (label, start)
        return place in _ALONE + _LAST

    def _close(self) -> None:
        """The open entity ends with the token before."""
        if self._open is not None:
            self._found.append((*self._open, self._length))
            self._open = None


def _cells(line: str) -> list[str]:
    """The columns of a line; none where it ends a text."""
    line = line.rstrip("\r\n")
    if "\t" in line:
        return line.split("\t")
    return line.split()
