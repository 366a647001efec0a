"""Which kind of archive a file is, by its first bytes and never by its name."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from dataset_svc.archives.limits import Limits
from dataset_svc.archives.port import Archive, ArchiveRefused, Opener, Report, Tick

_MAGIC = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"Rar!\x1a\x07\x01\x00", "rar5"),
    (b"Rar!\x1a\x07\x00", "rar"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_TAR_MAGIC_AT = 257
READABLE = {
    "zip": "dataset_svc.archives.zip:ZipArchive",
    "tar": "dataset_svc.archives.tar:TarArchive",
    "gzip": "dataset_svc.archives.tar:GzipTarArchive",
    "zstd": "dataset_svc.archives.tar:ZstdTarArchive",
    "7z": "dataset_svc.archives.native:SevenZipArchive",
    "rar5": "dataset_svc.archives.native:Rar5Archive",
    "rar": "dataset_svc.archives.native:RarArchive",
}
"""The kinds that can be opened, each by its module and class, which are loaded when one comes."""
_PACK_AS = "zip, tar, tar.gz, tar.zst, 7z or rar"


def sniff(head: bytes) -> str | None:
    """The kind by the first 512 bytes (or fewer) of a file, None where they are those of no archive known."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    return "tar" if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar" else None


def open_archive(path: Path | int, limits: Limits, *, report: Report, tick: Tick = lambda _: None) -> Archive:
    """Open and survey an archive (a path, or an open descriptor that stays the caller's); what is wrong with single
    members goes to `report`.

    Raises ArchiveRefused (`unknown_archive`, `unsupported_archive`, or why this archive can't be read at all),
    OSError where the file can't be read. `tick` may raise to stop a long reading.
    """
    descriptor = os.dup(path) if isinstance(path, int) else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _kind_of(os.pread(descriptor, 512, 0))(descriptor, limits, report, tick)
    except BaseException:
        os.close(descriptor)
        raise


def prepare(descriptor: int) -> None:
    """Load the code that reads this archive, before the process gives up the right to. Raises nothing of the archive:
    what is wrong with it is said when it is opened."""
    kind = sniff(os.pread(descriptor, 512, 0))
    if kind in READABLE:
        found = _class_of(kind)
        if hasattr(found, "prepare"):
            found.prepare()


def _kind_of(head: bytes) -> Opener:
    """The class that reads a file beginning so. Raises ArchiveRefused."""
    kind = sniff(head)
    if kind is None:
        what = "The file is empty" if not head else "The file is no archive: its first bytes are those of none"
        raise ArchiveRefused("unknown_archive", "", f"{what}. Upload {_PACK_AS}.")
    if kind not in READABLE:
        reason = f"The file is packed with {kind}, which this platform can't read. Pack the same files as {_PACK_AS}."
        raise ArchiveRefused("unsupported_archive", "", reason)
    return _class_of(kind)


def _class_of(kind: str) -> Opener:
    module, _, name = READABLE[kind].partition(":")
    found: Opener = getattr(import_module(module), name)
    return found
