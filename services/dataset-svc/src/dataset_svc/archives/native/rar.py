"""What the headers of a rar tell: which ones can't be read, before anything is tried, and the sums of files, which
libarchive doesn't hold what is stored without compression against.

Sources: RAR 5.0 archive format (rarlab, technote), "Main archive header", "Archive encryption header", "File header";
for RAR 3 and 4 the technote of unrar 3, "Archive header", "File header".
"""

from __future__ import annotations

import os
import zlib
from array import array
from typing import NamedTuple

from dataset_svc.archives.port import ArchiveRefused

_SIGNATURE_5, _SIGNATURE_4 = 8, 7
_MAIN, _FILE, _SERVICE, _ENCRYPTION, _END = 1, 2, 3, 4, 5
_HAS_EXTRA, _HAS_DATA, _VOLUME_5 = 0x0001, 0x0002, 0x0001
_LARGEST_HEADER = 2 << 20
_MOST_OF_A_HEADER = 4096
"""Bytes that are looked at, with a name of any length that is taken."""
_MAIN_4, _VOLUME_4, _SOLID_4, _PASSWORD_4 = 0x73, 0x0001, 0x0008, 0x0080
_END_4 = b"\x7b\x00\x40\x07\x00"
_FILE_4, _HAS_DATA_4, _LARGE_4, _FOLDER_4 = 0x74, 0x8000, 0x0100, 0x00E0
_HAS_TIME, _HAS_CRC = 0x0002, 0x0004
_CUT_OFF = "The archive is cut off: its end is missing. Upload it again."


class Sums:
    """The CRC-32 of each file in the order of the archive, sixteen bytes a file."""

    def __init__(self) -> None:
        self._sums, self._names = array("q"), array("q")

    def add(self, crc: int | None, name: bytes | None) -> None:
        """Those of the next file, as far as its header says them as they are."""
        self._sums.append(-1 if crc is None else crc)
        self._names.append(-1 if name is None else zlib.crc32(name))

    def of(self, number: int, name: bytes) -> int | None:
        """That of a file, by its number from 0; None where none is said, or the file of that number is another."""
        if number >= len(self._sums) or self._names[number] not in (-1, zlib.crc32(name)):
            return None
        return self._sums[number] if self._sums[number] >= 0 else None


class _Block(NamedTuple):
    """A header: its kind, its bytes, where those begin that only its kind has, and where the next header is."""

    kind: int
    head: bytes
    fields: int
    following: int


def check_5(descriptor: int, length: int) -> Sums:
    """Go from header to header to the end, which libarchive doesn't ask for. Refuses a RAR 5 that is cut off, has
    encrypted names, or is one of several parts. Raises ArchiveRefused."""
    at, sums = _SIGNATURE_5, Sums()
    while at < length:
        block = _block(descriptor, at)
        if block.kind == _ENCRYPTION:
            raise _encrypted()
        if block.kind == _MAIN and _vint(block.head, block.fields)[0] & _VOLUME_5:
            raise _parts()
        if block.following > length:
            break
        if block.kind == _END:
            return sums
        if block.kind == _FILE:
            sums.add(*_file_5(block))
        at = block.following
    raise ArchiveRefused("truncated", "", _CUT_OFF)


def _file_5(block: _Block) -> tuple[int | None, bytes]:
    """Sum and name of a file. Raises ArchiveRefused."""
    head, at = block.head, block.fields
    try:
        flags, at = _vint(head, at)
        for _ in ("size", "attributes"):
            _, at = _vint(head, at)
        at += 4 if flags & _HAS_TIME else 0
        crc = int.from_bytes(head[at : at + 4], "little") if flags & _HAS_CRC else None
        at += 4 if flags & _HAS_CRC else 0
        for _ in ("compression", "system"):
            _, at = _vint(head, at)
        size, at = _vint(head, at)
    except IndexError:
        raise ArchiveRefused("truncated", "", _CUT_OFF) from None
    return crc, head[at : at + size]


def _block(descriptor: int, start: int) -> _Block:
    """The header at `start`. Raises ArchiveRefused."""
    head = os.pread(descriptor, _MOST_OF_A_HEADER, start)
    try:
        size, at = _vint(head, 4)
        if not 0 < size <= _LARGEST_HEADER:
            raise ArchiveRefused("damaged", "", "The archive is damaged: a header has no size. Upload it again.")
        end = start + at + size
        kind, at = _vint(head, at)
        flags, at = _vint(head, at)
        if flags & _HAS_EXTRA:
            _, at = _vint(head, at)
        data = 0
        if flags & _HAS_DATA:
            data, at = _vint(head, at)
        if kind == _MAIN:
            _vint(head, at)
    except IndexError:
        raise ArchiveRefused("truncated", "", _CUT_OFF) from None
    return _Block(kind, head, at, end + data)


def check_4(descriptor: int, length: int) -> Sums:
    """Refuse a RAR 3 or 4 that is solid, encrypted or one of several parts. Raises ArchiveRefused."""
    header = os.pread(descriptor, 64, _SIGNATURE_4)
    if len(header) < 7:
        raise ArchiveRefused("truncated", "", _CUT_OFF)
    flags = int.from_bytes(header[3:5], "little")
    if header[2] != _MAIN_4:
        raise ArchiveRefused("damaged", "", "The archive is damaged: its first header is none. Upload it again.")
    if flags & _PASSWORD_4:
        raise _encrypted()
    if flags & _VOLUME_4:
        raise _parts()
    if flags & _SOLID_4:
        reason = (
            "It is a solid archive of the old rar format (before WinRAR 5), which can't be read. "
            "Pack it again as RAR5 or zip."
        )
        raise ArchiveRefused("unsupported_method", "", reason)
    if _END_4 not in os.pread(descriptor, 32, max(length - 32, 0)):
        raise ArchiveRefused("truncated", "", _CUT_OFF)
    return _sums_4(descriptor, length)


def _sums_4(descriptor: int, length: int) -> Sums:
    """Go from header to header, as far as there are any."""
    at, sums = _SIGNATURE_4, Sums()
    while at < length:
        head = os.pread(descriptor, _MOST_OF_A_HEADER, at)
        flags, size = int.from_bytes(head[3:5], "little"), int.from_bytes(head[5:7], "little")
        if len(head) < 7 or size < 7:
            break
        data = int.from_bytes(head[7:11], "little") if flags & _HAS_DATA_4 else 0
        if head[2] == _FILE_4:
            data += int.from_bytes(head[32:36], "little") << 32 if flags & _LARGE_4 else 0
            sums.add(*_file_4(head, flags))
        at += size + data
    return sums


def _file_4(head: bytes, flags: int) -> tuple[int | None, bytes | None]:
    """Sum and name of a file; no name where it is said in two ways."""
    start, size = 40 if flags & _LARGE_4 else 32, int.from_bytes(head[26:28], "little")
    name = head[start : start + size]
    crc = int.from_bytes(head[16:20], "little") if flags & _FOLDER_4 != _FOLDER_4 else None
    return crc, None if b"\0" in name else name


def _vint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length (seven bits a byte, lowest first), and where it ends. Raises IndexError."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80 or shift > 63:
            return value, at


def _encrypted() -> ArchiveRefused:
    return ArchiveRefused("encrypted", "", "The archive is encrypted. Pack it without a password.")


def _parts() -> ArchiveRefused:
    return ArchiveRefused("multi_disk", "", "The archive is one of several parts. Pack it as one file.")
