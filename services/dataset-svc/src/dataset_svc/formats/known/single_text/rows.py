"""The rows of one file as the records of a formatted set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from dataset_svc.formats.known.single_text.entities import EntitiesChecker
from dataset_svc.formats.known.single_text.tables import SUFFIXES, Tables
from dataset_svc.formats.known.single_text.tokens import Tokens
from dataset_svc.formats.passing import JSON_LINES
from dataset_svc.formats.port import Row
from dataset_svc.formats.rereading import CHECKED, marked_lines, marked_row


def classified(path: str, lines: Iterator[str]) -> Iterator[Row]:
    """See RowReader: texts as they stand in their cells, each with its class."""
    if PurePosixPath(path).suffix.lower() in SUFFIXES:
        for sample in Tables(path, CHECKED).samples(lines):
            yield Row(sample.text, (sample.label.strip(),))


def marked(path: str, lines: Iterator[str]) -> Iterator[Row]:
    """See RowReader: texts with their entities."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in JSON_LINES:
        yield from marked_lines(path, lines)
    elif suffix in EntitiesChecker.suffixes:
        for text in Tokens(path, CHECKED).texts(lines):
            yield from marked_row(text.marked)
