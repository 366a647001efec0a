"""What the first header of a rar tells: which ones can't be read, before anything is tried.

Sources: RAR 5.0 archive format (rarlab, technote), "Main archive header", "Archive encryption header"; for RAR 3 and 4
the technote of unrar 3, "Archive header".
"""

from __future__ import annotations

import os

from dataset_svc.archives.port import ArchiveRefused

_SIGNATURE_5, _SIGNATURE_4 = 8, 7
_MAIN, _FILE, _SERVICE, _ENCRYPTION, _END = 1, 2, 3, 4, 5
_HAS_EXTRA, _HAS_DATA, _VOLUME_5 = 0x0001, 0x0002, 0x0001
_LARGEST_HEADER = 2 << 20
_MAIN_4, _VOLUME_4, _SOLID_4, _PASSWORD_4 = 0x73, 0x0001, 0x0008, 0x0080
_END_4 = b"\x7b\x00\x40\x07\x00"
_CUT_OFF = "The archive is cut off: its end is missing. Upload it again."


def check_5(descriptor: int, length: int) -> None:
    """Go from header to header to the end, which libarchive doesn't ask for. Refuses a RAR 5 that is cut off, has
    encrypted names, or is one of several parts. Raises ArchiveRefused."""
    at = _SIGNATURE_5
    while at < length:
        kind, about, following = _block(descriptor, at)
        if kind == _ENCRYPTION:
            raise _encrypted()
        if kind == _MAIN and about & _VOLUME_5:
            raise _parts()
        if following > length:
            break
        if kind == _END:
            return
        at = following
    raise ArchiveRefused("truncated", "", _CUT_OFF)


def _block(descriptor: int, start: int) -> tuple[int, int, int]:
    """Kind and first field of the header at `start`, and where the next one is. Raises ArchiveRefused."""
    head = os.pread(descriptor, 512, start)
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
        about, _ = _vint(head, at) if kind == _MAIN else (0, at)
    except IndexError:
        raise ArchiveRefused("truncated", "", _CUT_OFF) from None
    return kind, about, end + data


def check_4(descriptor: int, length: int) -> None:
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
