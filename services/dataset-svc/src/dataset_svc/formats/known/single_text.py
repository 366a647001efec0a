"""The format `single_text`: one file whose rows are samples, each a text and its class (seed 002 §2.1.1).

CSV (RFC 4180), tab-separated values, or JSON lines.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import orjson

from dataset_svc.formats.decoding import Lines, NotText
from dataset_svc.formats.labels import is_text, label_fault
from dataset_svc.formats.port import Annotations, Checker, ContentLimits, Sink, Summary
from dataset_svc.formats.ranges import Range
from dataset_svc.formats.registry import check_purpose

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_JSON_LINES = (".jsonl", ".ndjson")
_TEXT = frozenset({"text", "content", "sentence", "文本", "内容", "正文"})
_CLASS = frozenset({"label", "class", "category", "标签", "类别", "分类"})
_LONGEST_CELL = 4 << 20
_MOST_CLASSES = 10_000
_SHOWN_ROWS = 20
_SHOWN_CHARACTERS = 500

Row = tuple[int, str, str]
"""Line (from 1), text and class."""


class SingleTextFormat:
    """See Format."""

    name = "single_text"
    purposes = ("text/classification",)

    def checker(self, purpose: str, sink: Sink, limits: ContentLimits) -> Checker:
        """See Format."""
        check_purpose(self.name, self.purposes, purpose)
        csv.field_size_limit(_LONGEST_CELL)
        return SingleTextChecker(sink, limits)


class SingleTextChecker:
    """Reads the one file's rows as they come; memory stays flat however many there are."""

    def __init__(self, sink: Sink, limits: ContentLimits) -> None:
        self._sink, self._limits = sink, limits
        self._files: list[str] = []
        self._classes: Counter[str] = Counter()
        self._length = Range()
        self._rows = 0
        self._shown: list[dict[str, Any]] = []
        self._encoding = ""

    def folder(self, path: str) -> None:
        """See Checker. Folders say nothing."""

    def whole(self, path: str, data: bytes) -> None:
        """See Checker."""
        deque(self.stream(path, len(data), iter((data,))), maxlen=0)

    def stream(self, path: str, size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """See Checker."""
        suffix = PurePosixPath(path).suffix.lower()
        if suffix not in _DELIMITERS and suffix not in _JSON_LINES:
            self._sink.warning("other_file", path, "This file is no CSV, TSV or JSON lines, and is not read.")
            yield from chunks
            return
        self._files.append(path)
        if len(self._files) > 1:
            reason = f"There is more than one file of samples (the first is {self._files[0]}). Put all into one."
            self._sink.error("several_files", path, reason)
            yield from chunks
            return
        yield from self._read(path, suffix, chunks)

    def finish(self) -> Summary:
        """See Checker. `classes` counts rows; `texts` has the lengths in characters."""
        if not self._files:
            reason = "The archive has no file of samples. Put one .csv, .tsv or .jsonl file into it."
            self._sink.error("no_samples_file", "", reason)
        elif len(self._classes) < self._limits.min_classes:
            found = ", ".join(sorted(self._classes)[:10]) or "none"
            reason = f"The rows have {len(self._classes)} classes ({found}); {self._limits.min_classes} are needed."
            self._sink.error("too_few_classes", self._files[0], reason)
        texts = {"length": self._length.as_json(), "encodings": {self._encoding: 1} if self._encoding else {}}
        return {"classes": dict(sorted(self._classes.items())), "rows": self._rows, "texts": texts}

    def annotations(self) -> Annotations:
        """See Checker: the first rows."""
        if self._files:
            yield self._files[0], orjson.dumps({"kind": "rows", "total": self._rows, "rows": self._shown}), ()

    def _read(self, path: str, suffix: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the chunks on as far as the rows have been read; after a fatal fault, all of them."""
        passed: deque[bytes] = deque()

        def seen() -> Iterator[bytes]:
            for chunk in chunks:
                passed.append(chunk)
                yield chunk

        lines = Lines()
        text = lines.of(seen())
        rows = self._tables(path, suffix, text) if suffix in _DELIMITERS else self._objects(path, text)
        try:
            for row in rows:
                self._take(path, row)
                while passed:
                    yield passed.popleft()
        except NotText as fault:
            self._sink.error(fault.code, path, fault.reason, fault.line)
        self._encoding = lines.encoding
        yield from passed
        yield from chunks

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
        if len(self._classes) > _MOST_CLASSES:
            reason = f"There are more than {_MOST_CLASSES:,} different classes; text and class seem to be exchanged."
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
        for line, text in enumerate(lines, 1):
            if not text.strip():
                continue
            try:
                found = json.loads(text)
            except (ValueError, RecursionError) as error:
                self._sink.error("bad_json", path, f"This line is no JSON: {str(error)[:200]}.", line)
                continue
            fault = self._object_fault(found)
            if fault:
                self._sink.error("bad_row", path, fault, line)
                continue
            yield line, found[_key(found, _TEXT)], str(found[_key(found, _CLASS)])

    @staticmethod
    def _object_fault(found: Any) -> str:
        if not isinstance(found, dict):
            return 'This line is no object. Write {"text": …, "label": …}.'
        text = found.get(_key(found, _TEXT))
        if not isinstance(text, str) or not is_text(text):
            return 'This line has no "text" that is a string.'
        label = found.get(_key(found, _CLASS))
        if not isinstance(label, str | int) or isinstance(label, bool):
            return 'This line has no "label" that is a string or a number.'
        return ""


_NO_HEADER = (
    "This file has {} columns and its first row doesn't name them. "
    "Name them in the first row (text and label), or have two columns: text, then label."
)


def _key(found: dict[str, Any], names: frozenset[str]) -> str:
    """Which of its keys is meant."""
    return next((key for key in found if key.strip().lower() in names), "")


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


FORMAT = SingleTextFormat()
