"""One table of texts and their classes: CSV (RFC 4180), tab-separated values, or JSON lines."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import orjson

from dataset_svc.formats.decoding import Lines, NotText
from dataset_svc.formats.known.single_text.one_file import OneFile
from dataset_svc.formats.labels import MOST_CLASSES, is_text, label_fault
from dataset_svc.formats.passing import JSON_LINES, objects, passing
from dataset_svc.formats.port import Annotations, ContentLimits, Sink, Summary
from dataset_svc.formats.ranges import Range
from dataset_svc.formats.samples import Samples

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_TEXT = frozenset({"text", "content", "sentence", "文本", "内容", "正文"})
_CLASS = frozenset({"label", "class", "category", "标签", "类别", "分类"})
_LONGEST_CELL = 4 << 20
_SHOWN_ROWS = 20
_SHOWN_CHARACTERS = 500

Row = tuple[int, str, str]
"""Line (from 1), text and class."""


class SingleTextChecker(OneFile):
    """Reads the one file's rows as they come; of each eight bytes are kept, which say where it begins and its class."""

    suffixes = (*_DELIMITERS, *JSON_LINES)
    what = "CSV, TSV or JSON lines"

    def __init__(self, sink: Sink, limits: ContentLimits) -> None:
        super().__init__(sink)
        csv.field_size_limit(_LONGEST_CELL)
        self._limits = limits
        self._classes: Counter[str] = Counter()
        self._samples = Samples()
        self._length = Range()
        self._rows = 0
        self._shown: list[dict[str, Any]] = []
        self._encoding = ""

    def rows(self, path: str, suffix: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See OneFile."""
        lines = Lines()
        read = partial(self.read, path, suffix)
        yield from passing(chunks, path, self._sink, lines, read, lambda row: self._take(path, row))
        self._encoding = lines.encoding

    def read(self, path: str, suffix: str, lines: Iterator[str]) -> Iterator[Row]:
        """The rows of such a file, whose text and class are unchecked. Raises NotText."""
        return self._tables(path, suffix, lines) if suffix in _DELIMITERS else self._objects(path, lines)

    def finish(self) -> Summary:
        """See Checker. `classes` counts rows; `texts` has the lengths in characters."""
        if self.found() and len(self._classes) < self._limits.min_classes:
            found = ", ".join(sorted(self._classes)[:10]) or "none"
            reason = f"The rows have {len(self._classes)} classes ({found}); {self._limits.min_classes} are needed."
            self._sink.error("too_few_classes", self._files[0], reason)
        texts = {"length": self._length.as_json(), "encodings": {self._encoding: 1} if self._encoding else {}}
        return {"classes": dict(sorted(self._classes.items())), "rows": self._rows, "texts": texts}

    def annotations(self) -> Annotations:
        """See Checker: the first rows."""
        if self._files:
            yield self._files[0], orjson.dumps({"kind": "rows", "total": self._rows, "rows": self._shown}), ()

    def samples(self) -> Mapping[str, Samples]:
        """See Checker."""
        return {self._files[0]: self._samples} if self._files else {}

    def _take(self, path: str, row: Row) -> None:
        """Check one sample. Raises NotText where there are too many classes for these to be classes."""
        line, text, label = row
        text, label = text.strip(), label.strip()
        self._rows += 1
        if not text:
            self._sink.error("empty_text", path, "This row has no text.", line)
        if fault := label_fault(label):
            return self._sink.error("bad_label", path, f"The class of this row {fault}.", line)
        self._classes[label] += 1
        self._samples.add(line, (label,))
        if len(self._classes) > MOST_CLASSES:
            reason = f"There are more than {MOST_CLASSES:,} different classes; text and class seem to be exchanged."
            raise NotText("too_many_classes", reason, line)
        self._length.add(len(text))
        if len(self._shown) < _SHOWN_ROWS:
            self._shown.append({"line": line, "text": text[:_SHOWN_CHARACTERS], "class": label})
        return None

    def _tables(self, path: str, suffix: str, lines: Iterator[str]) -> Iterator[Row]:
        """The rows of a table. The first says which columns there are, or is a sample itself."""
        reader = csv.reader(lines, delimiter=_DELIMITERS[suffix], strict=True)
        columns: tuple[int, int, int] | None = None
        while True:
            line = reader.line_num
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._sink.error("bad_row", path, f"This row can't be read: {error}.", line + 1)
                continue
            if not cells:
                continue
            if columns is None:
                columns = _columns(cells)
                if columns is None:
                    raise NotText("no_header", _NO_HEADER.format(len(cells)), line + 1)
                if _is_header(cells):
                    continue
            if len(cells) != columns[2]:
                reason = f"This row has {len(cells)} columns, the first one has {columns[2]}."
                self._sink.error("wrong_columns", path, reason, line + 1)
                continue
            yield line + 1, cells[columns[0]], cells[columns[1]]

    def _objects(self, path: str, lines: Iterator[str]) -> Iterator[Row]:
        """The rows of JSON lines."""
        for line, found in objects(path, self._sink, lines):
            fault = self._object_fault(found)
            if fault:
                self._sink.error("bad_row", path, fault, line)
                continue
            yield line, _said(found, _TEXT), str(_said(found, _CLASS))

    @staticmethod
    def _object_fault(found: Any) -> str:
        if not isinstance(found, dict):
            return 'This line is no object. Write {"text": …, "label": …}.'
        text = _said(found, _TEXT)
        if not isinstance(text, str) or not is_text(text):
            return 'This line has no "text" that is a string.'
        label = _said(found, _CLASS)
        if not isinstance(label, str | int) or isinstance(label, bool):
            return 'This line has no "label" that is a string or a number.'
        return ""


_NO_HEADER = (
    "This file has {} columns and its first row doesn't name them. "
    "Name them in the first row (text and label), or have two columns: text, then label."
)


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
