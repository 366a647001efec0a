"""Writes rar, which has no free writer: stored and packed, solid and not, by what its formats are known to be.

Sources: RAR 5.0 archive format (rarlab, technote) for headers; for what is packed, which the technote leaves out, what
every free reader of it (unrar, libarchive, 7-Zip) takes: blocks of Huffman codes over literals and matches. For RAR 4
the technote of unrar 3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import chain

Files = Mapping[str, bytes]

RAR5 = b"Rar!\x1a\x07\x01\x00"
RAR4 = b"Rar!\x1a\x07\x00"
SOLID = 0x0004
"""A flag of the first header of a RAR 5."""


def vint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def rar_block(kind: int, body: bytes, data: bytes = b"", flags: int = 0, extra: bytes = b"") -> bytes:
    """One header with its checksum, and the data that follows it."""
    flags |= (0x0002 if data or kind == 2 else 0) | (0x0001 if extra else 0)
    inner = vint(kind) + vint(flags)
    inner += (vint(len(extra)) if extra else b"") + (vint(len(data)) if flags & 0x0002 else b"") + body + extra
    sized = vint(len(inner)) + inner
    return zlib.crc32(sized).to_bytes(4, "little") + sized + data


def rar_file(
    path: str,
    data: bytes,
    *,
    crc: int | None = None,
    size: int | None = None,
    extra: bytes = b"",
    packed: bytes | None = None,
    method: int = 0,
) -> bytes:
    """One file, or a folder where the path ends with `/`. It is stored, unless it is `packed` by a `method`."""
    folder = path.endswith("/")
    name = path.removesuffix("/").encode()
    body = vint(0x0001 if folder else 0x0004) + vint(len(data) if size is None else size)
    body += vint(0o40755 if folder else 0o100644)
    if not folder:
        body += (zlib.crc32(data) if crc is None else crc).to_bytes(4, "little")
    body += vint(method) + vint(1) + vint(len(name)) + name
    return rar_block(2, body, data if packed is None else packed, extra=extra)


def rar(files: Files, *, main: int = 0, middle: bytes = b"") -> bytes:
    """A rar whose files are stored; `main` are the flags of its first header, `middle` goes between the files and the
    end."""
    blocks = b"".join(rar_file(path, data) for path, data in files.items())
    return RAR5 + rar_block(1, vint(main)) + blocks + middle + rar_block(5, vint(0))


def rar_packed(files: Files) -> bytes:
    """A rar as programs make it, each file packed for itself."""
    return _packed(files, solid=False)


def rar_solid(files: Files) -> bytes:
    """Another, each file of which is packed by what was in those before."""
    return _packed(files, solid=True)


def _packed(files: Files, *, solid: bool) -> bytes:
    blocks, before = [], b""
    for path, data in files.items():
        method = NORMAL | (_GOES_ON if before else 0)
        packed = {"packed": pack(data, before), "method": method} if data else {}
        blocks.append(rar_file(path, data, **packed))  # type: ignore[arg-type]
        before += data if solid else b""
    return RAR5 + rar_block(1, vint(SOLID if solid else 0)) + b"".join(blocks) + rar_block(5, vint(0))


NORMAL, _GOES_ON = 3 << 7, 1 << 6
"""How a file is packed, in its header: method 3, with a dictionary of 128 KiB; and whether it goes on with that of the
file before."""
_LITERALS, _DISTANCES, _LOW_DISTANCES, _LENGTHS = 306, 64, 16, 44
"""Symbols in each of the four alphabets."""
_WIDE, _NARROW, _LOW = 9, 6, 4
"""Bits of every code in the first, in the second and fourth, and in the third, so that its code is the symbol."""
_MATCH, _LONGEST, _FURTHEST = 262, 9, 256
"""The first symbol that is a match, of two bytes; up to nine need no more bits than the symbol, and from further than
256 bytes a length would be told otherwise."""
_SEARCHED = 2000
"""Bytes of a file in which matches are looked for; behind these are literals only, as looking takes its time."""


def pack(data: bytes, before: bytes = b"") -> bytes:
    """One block, the last of its file; `before` is what can be referred to."""
    bits = "".join(chain(_tables(), _symbols(before[-_FURTHEST:] + data, min(len(before), _FURTHEST))))
    used = len(bits) % 8 or 8
    body = int(bits + "0" * (8 - used), 2).to_bytes((len(bits) + 7) // 8)
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "little")
    flags = (
        used - 1 | len(size) - 1 << 3 | 0x40 | 0x80
    )  # its last byte's bits, its size's bytes, last block, has tables
    checksum = 0x5A ^ flags
    for byte in size:
        checksum ^= byte
    return bytes([flags, checksum]) + size + body


def _tables() -> Iterator[str]:
    """How long each code is: first, in four bits, those by which lengths are told, so that each of them is itself."""
    yield from ["0101"] * 20
    for symbols, width in ((_LITERALS, _WIDE), (_DISTANCES, _NARROW), (_LOW_DISTANCES, _LOW), (_LENGTHS, _NARROW)):
        yield from [f"{width:05b}"] * symbols


def _symbols(whole: bytes, at: int) -> Iterator[str]:
    """The content from there on."""
    searched = at + _SEARCHED
    while at < min(searched, len(whole)):
        length, distance = _match(whole, at)
        if length:
            yield f"{_MATCH + length - 2:0{_WIDE}b}" + _far(distance)
        else:
            yield f"{whole[at]:0{_WIDE}b}"
        at += length or 1
    literals = [f"{byte:0{_WIDE}b}" for byte in range(256)]
    yield from (literals[byte] for byte in whole[at:])


def _match(whole: bytes, at: int) -> tuple[int, int]:
    """Length and distance of what was there before, (0, 0) where nothing was."""
    for length in range(min(_LONGEST, len(whole) - at), 1, -1):
        start = whole.rfind(whole[at : at + length], max(at - _FURTHEST, 0), at + length - 1)
        if start >= 0:
            return length, at - start
    return 0, 0


def _far(distance: int) -> str:
    """A distance: its slot, and the bits that choose within that, the lowest four of which are a symbol themselves."""
    distance -= 1
    if distance < 4:
        return f"{distance:0{_NARROW}b}"
    more = distance.bit_length() - 2
    slot = 2 * (more + 1) + (distance >> more & 1)
    within = distance & (1 << more) - 1
    return f"{slot:0{_NARROW}b}{within:0{more}b}"


def rar_4(files: Files) -> bytes:
    """A rar as WinRAR 3 and 4 made it, whose files are stored."""
    blocks = b"".join(_file_4(path, data) for path, data in files.items())
    return RAR4 + _block_4(0x73, 0, bytes(6)) + blocks + _block_4(0x7B, 0x4000, b"")


def _block_4(kind: int, flags: int, body: bytes, data: bytes = b"") -> bytes:
    inner = struct.pack("<BHH", kind, flags, 7 + len(body)) + body
    return (zlib.crc32(inner) & 0xFFFF).to_bytes(2, "little") + inner + data


def _file_4(path: str, data: bytes) -> bytes:
    folder, unicode = path.endswith("/"), not path.isascii()
    name = path.removesuffix("/").encode()
    mode, unix, stored = 0o40755 if folder else 0o100644, 3, 0x30
    size, crc = len(data), zlib.crc32(data)
    body = struct.pack("<LLBLLBBHL", size, size, unix, crc, 0, 20, stored, len(name), mode)
    flags = 0x8000 | (0x00E0 if folder else 0) | (0x0200 if unicode else 0)
    return _block_4(0x74, flags, body + name, data)
