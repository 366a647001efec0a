"""The rows of one table of texts and their classes: CSV (RFC 4180), tab-separated values, or JSON lines."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from dataset_svc.formats.decoding import NotText
from dataset_svc.formats.labels import TEXT_NAMES, is_text
from dataset_svc.formats.passing import JSON_LINES, objects
from dataset_svc.formats.port import Sink

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*_DELIMITERS, *JSON_LINES)
"""What the names of such files end with."""

_TEXT = frozenset(TEXT_NAMES)
_CLASS = frozenset({"label", "class", "category", "标签", "类别", "分类"})
_LONGEST_CELL = 4 << 20


class Sample(NamedTuple):
    """A row: its first line (from 1), and text and class as they stand there, unchecked."""

    line: int
    text: str
    label: str


class Tables:
    """Reads the rows of one file."""

    def __init__(self, path: str, sink: Sink) -> None:
        self._path, self._sink = path, sink
        self._delimiter = _DELIMITERS.get(PurePosixPath(path).suffix.lower())

    def samples(self, lines: Iterator[str]) -> Iterator[Sample]:
        """The rows, one after the other. Raises NotText."""
        return self._objects(lines) if self._delimiter is None else self._rows(self._delimiter, lines)

    def _rows(self, delimiter: str, lines: Iterator[str]) -> Iterator[Sample]:
        """The rows of a table. The first says which columns there are, or is a sample itself."""
        columns: tuple[int, int, int] | None = None
        for line, cells in self._cells(delimiter, lines):
            if columns is None:
                columns = _columns(cells)
                if columns is None:
                    raise NotText("no_header", _NO_HEADER.format(len(cells)), line)
                if _is_header(cells):
                    continue
            if len(cells) == columns[2]:
                yield Sample(line, cells[columns[0]], cells[columns[1]])
            else:
                reason = f"This row has {len(cells)} columns, the first one has {columns[2]}."
                self._sink.error("wrong_columns", self._path, reason, line)

    def _cells(self, delimiter: str, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        """Line (from 1) and cells of each row that has any; what can't be read is told."""
        csv.field_size_limit(_LONGEST_CELL)  # of all readers in the process: csv knows no limit of one alone
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                if cells := next(reader):
                    yield line, cells
            except StopIteration:
                return
            except csv.Error as error:
                self._sink.error("bad_row", self._path, f"This row can't be read: {error}.", line)

    def _objects(self, lines: Iterator[str]) -> Iterator[Sample]:
        """The rows of JSON lines."""
        for line, found in objects(self._path, self._sink, lines):
            if fault := _fault(found):
                self._sink.error("bad_row", self._path, fault, line)
            else:
                yield Sample(line, _said(found, _TEXT), str(_said(found, _CLASS)))


_NO_HEADER = (
    "This file has {} columns and its first row doesn't name them. "
    "Name them in the first row (text and label), or have two columns: text, then label."
)


def _fault(found: Any) -> str:
    """Why a line of JSON is no sample; empty where it is one."""
    if not isinstance(found, dict):
        return 'This line is no object. Write {"text": …, "label": …}.'
    text = _said(found, _TEXT)
    if not isinstance(text, str) or not is_text(text):
        return 'This line has no "text" that is a string.'
    label = _said(found, _CLASS)
    if not isinstance(label, str | int) or isinstance(label, bool):
        return 'This line has no "label" that is a string or a number.'
    return ""


def _said(found: dict[str, Any], names: frozenset[str]) -> Any:
    """What an object says by one of these names, None where it says nothing."""
    return next((value for key, value in found.items() if key.strip().lower() in names), None)


def _is_header(cells: list[str]) -> bool:
    """Whether the row names columns."""
    named = {cell.strip().lower() for cell in cells}
    return bool(named & _TEXT) and bool(named & _CLASS)


def _place(cells: list[str], names: frozenset[str]) -> int:
    return next(number for number, cell in enumerate(cells) if cell.strip().lower() in names)


def _columns(cells: list[str]) -> tuple[int, int, int] | None:
    """Where text and class are, and how many columns there are."""
    if _is_header(cells):
        return _place(cells, _TEXT), _place(cells, _CLASS), len(cells)
    return (0, 1, 2) if len(cells) == 2 else None
