"""Makes the same files into an archive of any kind."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from ctypes.util import find_library
from pathlib import Path

import zstandard

from dataset_svc.archives.native.library import load
from tests.dataset_svc.archives.builder import Item, build
from tests.dataset_svc.archives.rars import Files, rar, rar_4, rar_packed, rar_solid
from tests.servers.packages import ensure


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


MAKERS: dict[str, Callable[[Files], bytes]] = {
    "zip": zipped,
    "tar": tar,
    "tar.gz": tar_gz,
    "tar.zst": tar_zst,
    "7z": seven_zip,
    "rar5, stored": rar,
    "rar5": rar_packed,
    "rar5, solid": rar_solid,
    "rar4, stored": rar_4,
}
