"""RecordIO as MXNet reads it (dmlc-core `recordio.h`, MXNet `IRHeader`): `data.rec` with its index `data.idx`.

A record is the magic number, a word with its length (29 bits) and part (3 bits), and its bytes, padded to four. Where
the bytes have the magic number themselves, at a multiple of four, the record is cut there into parts and the number
left out: so a reader that begins anywhere finds the next record.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from dataset_svc.sets.port import Record, SetFormat, Terms, check_size

MAGIC = 0xCED7230A
_MAGIC = struct.pack("<I", MAGIC)
_HEADER = struct.Struct("<IfQQ")
_WORDS = struct.Struct("<II")
_MOST = (1 << 29) - 1 - _HEADER.size

WHOLE, FIRST, MIDDLE, LAST = range(4)


class RecordIO:
    """One file of records. A label that there is none of is -1."""

    def __init__(self, folder: Path, terms: Terms) -> None:
        self._records = (folder / "data.rec").open("wb")
        self._index = (folder / "data.idx").open("w")
        self._list = (folder / "data.lst").open("w")
        self._number = 0

    def add(self, record: Record) -> None:
        """Write one. Raises Invalid (`record_too_large`)."""
        check_size(record, _MOST, "recordio")
        label = -1 if record.label is None else record.label
        self._index.write(f"{self._number}\t{self._records.tell()}\n")
        self._list.write(f"{self._number}\t{label}\t{record.path}\n")
        for part, data in parts(_HEADER.pack(0, float(label), self._number, 0) + record.data):
            self._records.write(_WORDS.pack(MAGIC, part << 29 | len(data)))
            self._records.write(data)
        self._records.write(bytes(-self._records.tell() % 4))
        self._number += 1

    def close(self) -> None:
        """Close the files."""
        for file in (self._records, self._index, self._list):
            file.close()


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """A record's bytes in parts, each with what it is; only the last can have a length that is no multiple of four."""
    start, at = 0, data.find(_MAGIC)
    while at != -1:
        if at % 4 == 0 and at + 4 <= len(data) // 4 * 4:
            yield FIRST if start == 0 else MIDDLE, data[start:at]
            start = at + 4
            at = data.find(_MAGIC, start)
        else:
            at = data.find(_MAGIC, at + 1)
    yield WHOLE if start == 0 else LAST, data[start:]


FORMAT = SetFormat("recordio", RecordIO)
