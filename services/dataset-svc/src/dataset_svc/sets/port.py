"""What a format of formatted sets is: something that takes records one by one and leaves files (seed 001, row D9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from common.kernel.errors import Invalid

CLASSES = "classes.json"
"""The file beside the records that names the classes: the label of a record is the place of its class, from 0."""


class Record(NamedTuple):
    """One file of a dataset version: its path, its class and the class's label (None where it has none), its bytes, and
    what is annotated in it as JSON (docs/guides/dataset-formats.md), empty where nothing is."""

    path: str
    class_name: str | None
    label: int | None
    data: bytes
    annotations: bytes = b""


class Encoder(Protocol):
    """Writes records in the order in which they come. Not for use by several threads at once."""

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`), and OSError where the disk is full."""
        ...

    def close(self) -> None:
        """Write what is left; until then the files are of no use."""
        ...


@dataclass(frozen=True)
class Terms:
    """What an encoder is told: what the files are (`image` or `text`), all classes of the version in their order, after
    how many bytes a format of many shards begins the next, and whether anything is annotated in files."""

    media: str
    classes: Sequence[str]
    shard_bytes: int
    annotated: bool = False


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
