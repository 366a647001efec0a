"""One header of a tar, and the records that may precede it. Source: POSIX.1-2017, pax, "ustar Interchange Format"
and "pax Header Block"; GNU tar manual, "Basic Tar Format"."""

from __future__ import annotations

import stat
import struct
from typing import NamedTuple

from dataset_svc.archives.port import ArchiveRefused

BLOCK = 512
LARGEST_RECORD = 1 << 20
"""Bytes that a pax record or a long name may have; more is an attack on memory."""

_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12s")
_MODES = {
    b"0": stat.S_IFREG,
    b"\0": stat.S_IFREG,
    b"7": stat.S_IFREG,
    b"1": stat.S_IFREG,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"D": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
    b"S": stat.S_IFREG,
    b"M": stat.S_IFREG,
}
BODILESS = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})
"""Types that no content follows, whatever their size says."""
RECORDS = {b"x": "pax", b"g": "global", b"X": "pax", b"L": "name", b"K": "link"}
"""Types that say something of what follows, and what."""

_SPARSE = "it is a sparse file, which is stored with holes; pack it without --sparse"
_PARTS = "it is continued in another archive; pack everything into one"


class Header(NamedTuple):
    """One header. `kind` is its type flag; `size` the bytes that follow it."""

    name: bytes
    size: int
    kind: bytes

    @property
    def mode(self) -> int:
        """The type as in stat(2); 0 for one that is none of POSIX's or GNU's."""
        if self.kind in (b"0", b"\0") and self.name.endswith(b"/"):
            return stat.S_IFDIR
        return _MODES.get(self.kind, 0)

    @property
    def wrong(self) -> tuple[str, str] | None:
        """What can't be read at all."""
        if self.kind == b"S":
            return "sparse", _SPARSE
        return ("multi_disk", _PARTS) if self.kind == b"M" else None


def parse(block: bytes) -> Header:
    """The header in a block of 512 bytes. Raises ArchiveRefused (`damaged`)."""
    fields = _HEADER.unpack(block)
    declared = _number(fields[6])
    if sum(block) - sum(fields[6]) + 8 * 0x20 != declared:
        raise damaged("a header's checksum is wrong")
    name, prefix = _text(fields[0]), _text(fields[15])
    if fields[9] == b"ustar\0" and prefix:
        name = prefix + b"/" + name
    size = _number(fields[4])
    if size < 0:
        raise damaged("a size is negative")
    kind: bytes = fields[7]
    return Header(name, 0 if kind in BODILESS else size, kind)


def pax_records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: `length keyword=value\\n` each. Raises ArchiveRefused (`damaged`)."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data) and data[at] != 0:
        digits, _, _ = data[at : at + 20].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        record = data[at + len(digits) + 1 : at + length]
        keyword, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n") or at + length > len(data):
            raise damaged("an extended header is malformed")
        found[keyword] = value[:-1]
        at += length
    return found


def damaged(what: str) -> ArchiveRefused:
    """The refusal of a tar that is not one any more."""
    return ArchiveRefused("damaged", "", f"The archive is damaged: {what}. Pack and upload it again.")


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _number(field: bytes) -> int:
    """An octal number, or GNU's binary one for sizes of 8 GiB and more."""
    if field[0] & 0x80:
        number = int.from_bytes(field, "big")
        return number - (1 << 8 * len(field)) if field[0] & 0x40 else number - (0x80 << 8 * (len(field) - 1))
    digits = field.strip(b" \0")
    if not digits:
        return 0
    try:
        return int(digits, 8)
    except ValueError:
        raise damaged("a number in a header is none") from None
