"""What a format of formatted sets is: something that takes records one by one and leaves files (seed 001, row D9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from common.kernel.errors import Invalid
from dataset_svc.formats.decoding import NotText, decode

CLASSES = "classes.json"
"""The file beside the records that names the classes: the label of a record is the place of its class, from 0."""


class Record(NamedTuple):
    """One file of a dataset version: its path, its class and the class's label (None where it has none), its bytes, and
    what is annotated in it as JSON (docs/guides/dataset-formats.md), empty where nothing is. Or one of the texts in it:
    `row` is its number, from 1, and `data` its text in UTF-8."""

    path: str
    class_name: str | None
    label: int | None
    data: bytes
    annotations: bytes = b""
    row: int | None = None


class Encoder(Protocol):
    """Writes records in the order in which they come. Not for use by several threads at once."""

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`, `bad_text`), and OSError where the disk is full."""
        ...

    def close(self) -> None:
        """Write what is left; until then the files are of no use."""
        ...


@dataclass(frozen=True)
class Terms:
    """What an encoder is told: what the files are (`image`, `text` …), all classes of the version in their order, after
    how many bytes a format of many shards begins the next, whether anything is annotated in files, and whether records
    are rows of these."""

    media: str
    classes: Sequence[str]
    shard_bytes: int
    annotated: bool = False
    rows: bool = False


@dataclass(frozen=True)
class SetFormat:
    """A format by name. `open(folder, terms)` begins a set in an empty folder."""

    name: str
    open: Callable[[Path, Terms], Encoder]


class RecordTooLarge(Invalid):
    """422 `record_too_large`: the format can't hold a file of that size as one record."""

    def __init__(self, path: str, size: int, most: int, format: str) -> None:
        super().__init__(
            "record_too_large",
            f"{path} has {size} bytes; a record of {format} holds at most {most}. Choose another format, such as raw.",
        )


def check_size(record: Record, most: int, format: str) -> None:
    """Raise Invalid (`record_too_large`) where a record is larger than the format can hold."""
    if len(record.data) > most:
        raise RecordTooLarge(record.path, len(record.data), most, format)


def text_of(record: Record, format: str) -> str:
    """What a text says, whichever of the two encodings of datasets a file is in; a row is said as it was read, so that
    offsets into it hold. Raises Invalid (`bad_text`)."""
    if record.row is not None:
        return record.data.decode()
    try:
        return decode(record.data)[0]
    except NotText as fault:
        where = f", line {fault.line}" if fault.line else ""
        reason = f"{record.path}{where} is no text, and {format} holds texts only: {fault.reason} Or choose raw."
        raise Invalid("bad_text", reason) from fault
