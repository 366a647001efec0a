"""The texts in JSON as the records of a formatted set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from dataset_svc.formats.marked import Reader
from dataset_svc.formats.parsing import parsed
from dataset_svc.formats.passing import JSON_LINES
from dataset_svc.formats.port import Row
from dataset_svc.formats.rereading import CHECKED, marked_lines, marked_row


def read(path: str, lines: Iterator[str]) -> Iterator[Row]:
    """See RowReader: JSON lines, a list, or the one text that a file is."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in JSON_LINES:
        yield from marked_lines(path, lines)
    elif suffix == ".json":
        found = parsed("".join(lines))
        for entry in found if isinstance(found, list) else [found]:
            yield from marked_row(Reader(CHECKED).read(path, 0, entry))
