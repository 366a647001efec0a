"""Makes the same files into an archive of any kind. Rar has no free writer: its headers are written here, its content
stored as it is (RAR 5.0 archive format, rarlab's technote)."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Mapping
from ctypes.util import find_library
from pathlib import Path

import zstandard

from dataset_svc.archives.native.library import load
from tests.dataset_svc.archives.builder import Item, build
from tests.servers.packages import ensure

Files = Mapping[str, bytes]


def libarchive() -> None:
    """See that the system has it; installs it where the tests may."""
    ensure("libarchive13", lambda: Path(found) if (found := find_library("archive")) else None)


def tar(files: Files, format: int = tarfile.PAX_FORMAT, **more: object) -> bytes:
    """A tar; a name that ends with `/` is a folder. `more` are fields of every TarInfo."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            if path.endswith("/"):
                member.type = tarfile.DIRTYPE
            member.size = len(data)
            for name, value in more.items():
                setattr(member, name, value)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def tar_gz(files: Files) -> bytes:
    return gzip.compress(tar(files), 6)


def tar_zst(files: Files) -> bytes:
    return zstandard.ZstdCompressor().compress(tar(files))


def seven_zip(files: Files) -> bytes:
    """A 7z (LZMA), written by libarchive."""
    libarchive()
    load()
    from libarchive.entry import FileType
    from libarchive.write import custom_writer

    out = bytearray()

    def taken(piece: bytes) -> int:
        out.extend(piece)
        return len(piece)

    with custom_writer(taken, "7zip") as archive:
        for path, data in files.items():
            folder = path.endswith("/")
            kind = FileType.DIRECTORY if folder else FileType.REGULAR_FILE
            archive.add_file_from_memory(path, len(data), data, kind)
    return bytes(out)


def zipped(files: Files) -> bytes:
    return build([Item(path, data) for path, data in files.items()])


RAR5 = b"Rar!\x1a\x07\x01\x00"


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


def rar_file(path: str, data: bytes, *, crc: int | None = None, size: int | None = None, extra: bytes = b"") -> bytes:
    """One stored file, or a folder where the path ends with `/`."""
    folder = path.endswith("/")
    name = path.removesuffix("/").encode()
    body = vint(0x0001 if folder else 0x0004) + vint(len(data) if size is None else size)
    body += vint(0o40755 if folder else 0o100644)
    if not folder:
        body += (zlib.crc32(data) if crc is None else crc).to_bytes(4, "little")
    body += vint(0) + vint(1) + vint(len(name)) + name
    return rar_block(2, body, data, extra=extra)


def rar(files: Files, *, main: int = 0, middle: bytes = b"") -> bytes:
    """A rar; `main` are the flags of its first header, `middle` goes between the files and the end."""
    blocks = b"".join(rar_file(path, data) for path, data in files.items())
    return RAR5 + rar_block(1, vint(main)) + blocks + middle + rar_block(5, vint(0))


MAKERS: dict[str, Callable[[Files], bytes]] = {
    "zip": zipped,
    "tar": tar,
    "tar.gz": tar_gz,
    "tar.zst": tar_zst,
    "7z": seven_zip,
    "rar5": rar,
}
