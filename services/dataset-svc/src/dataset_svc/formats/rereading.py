"""Reading samples once more, for formatted sets, out of files that were checked when they were imported."""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOWrapper
from typing import IO

from common.kernel.errors import Problem
from dataset_svc.formats.marked import Marked, Reader
from dataset_svc.formats.packing import packed
from dataset_svc.formats.passing import objects
from dataset_svc.formats.port import Row


class Checked:
    """A sink for files that had no fault: one now says that they are not what they were."""

    def error(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        """See Sink. Raises Problem (`file_corrupt`)."""
        where = f"{file}, line {line}" if line else file
        raise Problem("file_corrupt", f"{where} is not what was imported: {reason} Import the dataset again.")

    def warning(self, code: str, file: str, reason: str, line: int | None = None) -> None:
        """See Sink. What was let pass passes."""


CHECKED = Checked()


def lines_of(file: IO[bytes], encoding: str) -> Iterator[str]:
    """The lines of a text from there on, as a RowReader takes them. In the end the file is closed."""
    with TextIOWrapper(file, encoding=encoding, newline="\n") as text:
        yield next(text, "").removeprefix("\ufeff")
        yield from text


def marked_lines(path: str, lines: Iterator[str]) -> Iterator[Row]:
    """The texts of JSON lines, with what is marked in them."""
    reader = Reader(CHECKED)
    for number, found in objects(path, CHECKED, lines):
        yield from marked_row(reader.read(path, number, found))


def marked_row(marked: Marked | None) -> Iterator[Row]:
    """A text with what is marked in it, where it could be read."""
    if marked is not None:
        found = {"kind": "spans", "entities": marked.entities, "relations": marked.relations}
        yield Row(marked.text, sorted({entity["class"] for entity in marked.entities}), packed(found))
