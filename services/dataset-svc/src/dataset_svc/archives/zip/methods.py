"""The compression methods that are read, all behind one shape: give packed bytes, get at most so many back."""

from __future__ import annotations

import bz2
import lzma
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

from dataset_svc.archives import inflating

STORED, DEFLATED, BZIP2, LZMA = 0, 8, 12, 14
READABLE = frozenset({STORED, DEFLATED, BZIP2, LZMA})
NAMES = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 96: "JPEG", 98: "PPMd", 99: "AES"}
"""Methods that are refused, by the names that packing programs give them (APPNOTE §4.4.5)."""

Error = (inflating.InflateError, lzma.LZMAError, OSError, EOFError, ValueError)
"""What a decoder raises on damaged data (bz2 raises OSError)."""

_LARGEST_LZMA_WINDOW = 64 << 20


class Decoder(Protocol):
    """Unpacks one member. `ended` is True once the data's own end mark was read."""

    def feed(self, packed: bytes, most: int) -> bytes:
        """Unpack; gives at most `most` bytes. What is left of `packed` is kept: feed b"" until nothing comes."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the data is complete, with nothing after it."""
        ...


class Deflate:
    """Raw deflate (RFC 1951)."""

    def __init__(self) -> None:
        self._object = inflating.decompressobj(-inflating.MAX_WBITS)

    def feed(self, packed: bytes, most: int) -> bytes:
        """See Decoder."""
        rest = self._object.unconsumed_tail
        return self._object.decompress(rest + packed if rest else packed, most)

    @property
    def ended(self) -> bool:
        """See Decoder."""
        return self._object.eof and not self._object.unused_data


class Bzip2:
    """bzip2."""

    def __init__(self) -> None:
        self._object = bz2.BZ2Decompressor()

    def feed(self, packed: bytes, most: int) -> bytes:
        """See Decoder."""
        return b"" if self._object.eof else self._object.decompress(packed, most)

    @property
    def ended(self) -> bool:
        """See Decoder."""
        return self._object.eof and not self._object.unused_data


class Lzma:
    """LZMA1 with its properties in front (APPNOTE §5.8). It need not have an end mark, so it always counts as ended."""

    ended = True

    def __init__(self) -> None:
        self._head = b""
        self._object: lzma.LZMADecompressor | None = None

    def feed(self, packed: bytes, most: int) -> bytes:
        """See Decoder. Raises ValueError for properties that are none or ask for too much memory."""
        if self._object is None:
            self._head += packed
            if len(self._head) < 9:
                return b""
            packed, self._object = self._head[9:], self._begin(self._head)
        return b"" if self._object.eof else self._object.decompress(packed, most)

    @staticmethod
    def _begin(head: bytes) -> lzma.LZMADecompressor:
        size, packed, window = struct.unpack_from("<HBL", head, 2)
        if size != 5 or packed >= 9 * 5 * 5 or window > _LARGEST_LZMA_WINDOW:
            raise ValueError("LZMA properties out of range")
        properties = {
            "id": lzma.FILTER_LZMA1,
            "dict_size": max(window, 4096),
            "lc": packed % 9,
            "lp": packed // 9 % 5,
            "pb": packed // 45,
        }
        return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[properties])


class Stored:
    """No compression."""

    ended = True

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, packed: bytes, most: int) -> bytes:
        """See Decoder."""
        data = self._rest + packed if self._rest else packed
        self._rest = data[most:]
        return data[:most]


_DECODERS: dict[int, Callable[[], Decoder]] = {STORED: Stored, DEFLATED: Deflate, BZIP2: Bzip2, LZMA: Lzma}


def unpack(method: int, pieces: Iterator[bytes], most: int, piece: int) -> Iterator[bytes]:
    """Unpack in pieces of at most `piece` bytes; more than `most` in all is never produced but for one byte,
    by which the caller sees that there was more. Raises one of `Error`; EOFError where the data is cut off."""
    decoder, made = _DECODERS[method](), 0
    for packed in pieces:
        data = decoder.feed(packed, min(piece, most + 1 - made))
        while data:
            made += len(data)
            yield data
            if made > most:
                return
            data = decoder.feed(b"", min(piece, most + 1 - made))
    if not decoder.ended:
        raise EOFError("the data is cut off, or something follows it")
