"""The central directory: where it is and what it says, a window at a time."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from dataset_svc.archives.port import ArchiveRefused

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LONGEST_COMMENT = 0xFFFF
_NONE16, _NONE32 = 0xFFFF, 0xFFFFFFFF
_LONGEST_HEADER = _CENTRAL.size + 3 * 0xFFFF
_WINDOW = 1 << 20
_ZIP64_EXTRA = 0x0001


class Directory(NamedTuple):
    """Where the central directory lies. `shift` is how many bytes precede the archive in its file."""

    start: int
    size: int
    entries: int
    exact: bool
    shift: int


class Header(NamedTuple):
    """One entry of the central directory (§4.3.12), 64-bit sizes resolved, `offset` counted from the file's start."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    host: int
    attributes: int
    extra: bytes


def locate(descriptor: int, length: int) -> Directory:
    """Find the central directory of a file of `length` bytes. Raises ArchiveRefused (`truncated`, `damaged`, …)."""
    tail_at = max(0, length - _END.size - _LONGEST_COMMENT)
    tail = os.pread(descriptor, length - tail_at, tail_at)
    at = _find_end(tail)
    _, disk, first_disk, here, entries, size, offset, _ = _END.unpack_from(tail, at)
    end, exact = tail_at + at, False
    if wide := _end64(descriptor, end):
        end, exact = wide[0], True
        disk, first_disk, here, entries, size, offset = _agreeing((disk, first_disk, here, entries, size, offset), wide)
    if disk or first_disk or here != entries:
        raise ArchiveRefused("multi_disk", "", "The archive is one of several parts. Pack it as one file.")
    shift = end - size - offset
    if shift < 0:
        raise _damaged("its directory is said to begin before the file does; a part of the file is missing")
    return Directory(offset + shift, size, entries, exact, shift)


def _find_end(tail: bytes) -> int:
    """The position of the end record (§4.3.16): the last one whose comment ends where the file does."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail):
            (comment,) = struct.unpack_from("<H", tail, at + _END.size - 2)
            if at + _END.size + comment == len(tail):
                return at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    reason = "The archive has no end record: it was cut off, or bytes were added to it. Upload it again."
    raise ArchiveRefused("truncated", "", reason)


def _end64(descriptor: int, end: int) -> tuple[int, tuple[int, ...]] | None:
    """The 64-bit end record (§4.3.14) and its position, where the archive has one."""
    raw = os.pread(descriptor, _LOCATOR.size, end - _LOCATOR.size) if end >= _LOCATOR.size else b""
    if len(raw) < _LOCATOR.size or not raw.startswith(b"PK\x06\x07"):
        return None
    _, _, offset, disks = _LOCATOR.unpack(raw)
    if disks > 1:
        raise ArchiveRefused("multi_disk", "", "The archive is one of several parts. Pack it as one file.")
    for at in (offset, end - _LOCATOR.size - _END64.size):
        record = os.pread(descriptor, _END64.size, at) if 0 <= at < end else b""
        if len(record) == _END64.size and record.startswith(b"PK\x06\x06"):
            _, _, _, _, disk, first_disk, here, entries, size, start = _END64.unpack(record)
            return at, (disk, first_disk, here, entries, size, start)
    raise _damaged("its 64-bit end record is not where it should be")


def _agreeing(narrow: tuple[int, ...], wide: tuple[int, tuple[int, ...]]) -> tuple[int, ...]:
    """The 64-bit values, after making sure that the 32-bit ones say the same or nothing.

    Two programs that believe different records would otherwise see two different archives.
    """
    for small, large, none in zip(narrow, wide[1], (_NONE16,) * 4 + (_NONE32,) * 2, strict=True):
        if small not in (large, none):
            raise _damaged("its two end records contradict each other")
    return wide[1]


def headers(descriptor: int, directory: Directory) -> Iterator[Header]:
    """Every entry in order. Raises ArchiveRefused (`damaged`) where they are not what the end record says."""
    unpack, size_of = _CENTRAL.unpack_from, _CENTRAL.size
    start, remaining, seen, shift = directory.start, directory.size, 0, directory.shift
    window, at = b"", 0
    while remaining:
        if len(window) - at < _LONGEST_HEADER and len(window) - at < remaining:
            window, at = os.pread(descriptor, min(_WINDOW, remaining), start), 0
        if remaining < size_of or len(window) - at < size_of:
            raise _damaged("its directory ends within an entry")
        magic, made, _, flags, method, _, _, crc, packed, size, named, extended, commented, disk, _, mode, offset = (
            unpack(window, at)
        )
        took = size_of + named + extended + commented
        if magic != b"PK\x01\x02" or took > remaining or took > len(window) - at:
            raise _damaged(f"entry {seen + 1} of its directory is not one")
        name_at = at + size_of
        name = window[name_at : name_at + named]
        extra = window[name_at + named : name_at + named + extended] if extended else b""
        if packed == _NONE32 or size == _NONE32 or offset == _NONE32:
            size, packed, offset = _wide(extra, size, packed, offset)
        if disk not in (0, _NONE16):
            raise _damaged(f"entry {seen + 1} of its directory is said to be on another disk")
        yield Header(name, flags, method, crc, packed, size, offset + shift, made >> 8, mode, extra)
        at, start, remaining, seen = at + took, start + took, remaining - took, seen + 1
    if seen != directory.entries and (directory.exact or seen & _NONE16 != directory.entries):
        raise _damaged(f"its directory has {seen} entries but is said to have {directory.entries}")


def fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """The extra fields (§4.5.1) as (identifier, content); stops at the first that is not whole."""
    at = 0
    while at + 4 <= len(extra):
        identifier, size = struct.unpack_from("<2H", extra, at)
        if at + 4 + size > len(extra):
            return
        yield identifier, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _wide(extra: bytes, *narrow: int) -> tuple[int, int, int]:
    """Size, packed size and offset, those that don't fit 32 bits from the zip64 extra field (§4.5.3)."""
    content = next((body for identifier, body in fields(extra) if identifier == _ZIP64_EXTRA), b"")
    values, at = [], 0
    for value in narrow:
        if value == _NONE32 and at + 8 <= len(content):
            (value,) = struct.unpack_from("<Q", content, at)
            at += 8
        values.append(value)
    return values[0], values[1], values[2]


def _damaged(what: str) -> ArchiveRefused:
    return ArchiveRefused("damaged", "", f"The archive is damaged: {what}. Pack and upload it again.")
