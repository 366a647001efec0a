"""The bytes of a tar as a stream that only goes forward, whatever it is packed with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from dataset_svc.archives import inflating
from dataset_svc.archives.port import ArchiveRefused

_PIECE = 1 << 20
_LARGEST_WINDOW = 128 << 20
_DAMAGED = "The archive is damaged or cut off: it can't be unpacked to its end. Pack and upload it again."

At = Callable[[int], None]


class Source:
    """Reads forward through pieces; raises ArchiveRefused (`truncated`) where they end too early."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def upto(self, most: int) -> bytes | memoryview:
        """At most `most` bytes, at least one; none at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        found, self._rest = self._rest[:most], self._rest[most:]
        return found

    def exactly(self, size: int) -> bytes:
        """That many bytes; none at all at the end."""
        first = self.upto(size)
        if len(first) == size or not first:
            return bytes(first)
        found = bytearray(first)
        while len(found) < size:
            more = self.upto(size - len(found))
            if not more:
                raise ArchiveRefused("truncated", "", _DAMAGED)
            found += more
        return bytes(found)

    def skip(self, size: int) -> None:
        """Pass over that many bytes."""
        while size:
            passed = len(self.upto(min(size, _PIECE)))
            if not passed:
                raise ArchiveRefused("truncated", "", _DAMAGED)
            size -= passed


def plain(descriptor: int, at: At) -> Iterator[bytes]:
    """The file itself, a MiB at a time."""
    position = 0
    while piece := os.pread(descriptor, _PIECE, position):
        position += len(piece)
        at(position)
        yield piece


def gunzipped(descriptor: int, at: At) -> Iterator[bytes]:
    """What one or several gzip members hold (RFC 1952 §2.2), checksums verified; zeros may follow."""
    object_ = inflating.decompressobj(31)
    began = False
    try:
        for piece in plain(descriptor, at):
            while piece:
                if not began and not piece.strip(b"\0"):
                    break
                began = True
                if data := object_.decompress(piece, _PIECE):
                    yield data
                piece = object_.unconsumed_tail
                if object_.eof:
                    piece, object_, began = object_.unused_data, inflating.decompressobj(31), False
    except inflating.InflateError as error:
        raise ArchiveRefused("damaged", "", _DAMAGED) from error
    if began:
        raise ArchiveRefused("truncated", "", _DAMAGED)


def unzstd(descriptor: int, at: At) -> Iterator[bytes]:
    """What one or several Zstandard frames hold (RFC 8878 §3.1). A window may have 128 MiB."""
    import zstandard

    opened: Any = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
    try:
        with opened.stream_reader(_File(descriptor, at), read_size=_PIECE, read_across_frames=True) as reader:
            while data := reader.read(_PIECE):
                yield data
    except zstandard.ZstdError as error:
        raise ArchiveRefused("damaged", "", _DAMAGED) from error


class _File:
    """A file as zstandard wants to read it."""

    def __init__(self, descriptor: int, at: At) -> None:
        self._pieces = Source(plain(descriptor, at))

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes."""
        return bytes(self._pieces.upto(size if size > 0 else _PIECE))
