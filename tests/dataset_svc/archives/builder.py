"""Builds zips byte by byte, so that every lie that an archive can tell can be told."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dataset_svc.archives import ArchiveRefused, Finding, Limits, open_archive

REGULAR = 0o100644
UTF8 = 0x0800


@dataclass
class Item:
    """One member. Whatever is None is what it honestly would be; anything else is a lie."""

    name: str | bytes
    data: bytes = b"x"
    method: int = 8
    flags: int = 0
    mode: int = REGULAR
    host: int = 3
    packed: bytes | None = None
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    local_name: bytes | None = None
    local_method: int | None = None
    local_flags: int | None = None
    wide: bool = False
    at: int = field(default=0, init=False)

    def raw_name(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode()

    def all_flags(self) -> int:
        return self.flags | (UTF8 if isinstance(self.name, str) and not self.name.isascii() else 0)

    def body(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflate(self.data) if self.method == 8 else self.data

    def numbers(self) -> tuple[int, int, int]:
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        packed = len(self.body()) if self.packed_size is None else self.packed_size
        return crc, packed, len(self.data) if self.size is None else self.size

    def local(self) -> bytes:
        name = self.raw_name() if self.local_name is None else self.local_name
        method = self.method if self.local_method is None else self.local_method
        flags = self.all_flags() if self.local_flags is None else self.local_flags
        crc, packed, size = self.numbers()
        if self.wide:
            packed = size = 0xFFFFFFFF
        head = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 33, crc, packed, size, len(name), len(self.local_extra)
        )
        return head + name + self.local_extra + self.body()

    def central(self) -> bytes:
        name, extra, (crc, packed, size) = self.raw_name(), self.extra, self.numbers()
        offset = self.at if self.offset is None else self.offset
        if self.wide:
            extra += struct.pack("<2H3Q", 1, 24, size, packed, offset)
            packed = size = offset = 0xFFFFFFFF
        return (
            struct.pack(
                "<4s6H3L5H2L",
                *(b"PK\1\2", self.host << 8 | 20, 20, self.all_flags(), self.method, 0, 33, crc, packed, size),
                *(len(name), len(extra), 0, 0, 0, self.mode << 16, offset),
            )
            + name
            + extra
        )


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def build(
    items: Sequence[Item],
    *,
    order: Sequence[int] | None = None,
    comment: bytes = b"",
    prefix: bytes = b"",
    entries: int | None = None,
    zip64: bool = False,
) -> bytes:
    """The archive; `order` is that of the directory where it differs from the members'."""
    out = bytearray()
    for item in items:
        item.at = len(out)
        out += item.local()
    start = len(out)
    for number in order if order is not None else range(len(items)):
        out += items[number].central()
    size = len(out) - start
    count = len(items) if entries is None else entries
    if zip64:
        end = len(out)
        out += struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
        out += struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
        out += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, len(comment))
    else:
        out += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, start, len(comment))
    return prefix + bytes(out) + comment


@dataclass
class Seen:
    """What came out of an archive. `refused` is the code with which reading ended, if it did."""

    files: dict[str, bytes] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    refused: Finding | None = None

    @property
    def codes(self) -> list[str]:
        return [found.code for found in (*self.findings, *([self.refused] if self.refused else []))]


def read(path: Path, content: bytes | None = None, limits: Limits | None = None) -> Seen:
    """Read an archive to its end, or as far as it goes. `content` is written to `path` first."""
    if content is not None:
        path.write_bytes(content)
    seen = Seen()
    try:
        archive = open_archive(path, limits or Limits(), report=seen.findings.append)
    except ArchiveRefused as refused:
        seen.refused = refused.finding
        return seen
    try:
        for member in archive.members():
            try:
                data = b"".join(member.chunks())
                assert member.size == len(data)
                seen.files[member.path] = data
            except ArchiveRefused as refused:
                seen.findings.append(refused.finding)
        seen.folders = list(archive.folders)
    except ArchiveRefused as refused:
        seen.refused = refused.finding
    finally:
        archive.close()
    return seen
