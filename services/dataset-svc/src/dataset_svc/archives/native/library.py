"""The one door to libarchive: its functions as this platform calls them, and what is said where it is missing."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

from dataset_svc.archives.port import ArchiveRefused

_NAMES = ("libarchive.so.13", "libarchive.13.dylib", "/opt/homebrew/opt/libarchive/lib/libarchive.dylib")
_BUFFER = 256 << 10
_BLOCK = 256 << 10
_EOF, _WARN = 1, -20


class Damaged(Exception):
    """libarchive can't go on with the entry (or at all where `fatal`); the text is its own."""

    def __init__(self, said: str, *, fatal: bool) -> None:
        super().__init__(said)
        self.fatal = fatal


@cache
def load() -> Any:
    """The functions. Raises ArchiveRefused (`library_missing`) where the system has no libarchive.

    The library is named outright, since looking for it would start other programs, which an import may not.
    """
    for name in _NAMES:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            os.environ.setdefault("LIBARCHIVE", name)
            break
    else:
        raise ArchiveRefused("library_missing", "", _MISSING)
    from libarchive import ffi

    ffi.ffi("entry_pathname_utf8", [ctypes.c_void_p], ctypes.c_char_p)
    ffi.ffi("entry_is_encrypted", [ctypes.c_void_p], ctypes.c_int)
    return ffi


_MISSING = (
    "Reading rar and 7z archives needs the library libarchive, which is not installed where this platform runs. "
    "Pack the same files as zip, tar, tar.gz or tar.zst; or let an administrator install it (Debian and Ubuntu: "
    "apt-get install libarchive13; Fedora: dnf install libarchive; macOS: brew install libarchive)."
)


class Reading:
    """One reading of an archive from its beginning, in one of libarchive's formats (`7zip`, `rar`, `rar5`)."""

    def __init__(self, descriptor: int, format: str) -> None:
        self._ffi = load()
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._archive = self._ffi.read_new()
        self._buffer = ctypes.create_string_buffer(_BUFFER)
        try:
            self._ffi.get_read_format_function(format)(self._archive)
            self._called(self._ffi.read_open_fd, self._archive, descriptor, _BLOCK)
        except BaseException:
            self.close()
            raise

    def entries(self) -> Iterator[Any]:
        """A handle for each entry, good until the next. Raises Damaged."""
        entry = self._ffi.entry_new()
        try:
            while self._called(self._ffi.read_next_header2, self._archive, entry) != _EOF:
                yield entry
        finally:
            self._ffi.entry_free(entry)

    def name(self, entry: Any) -> bytes:
        """The entry's name: UTF-8 where the archive says what it is, else as it stands there."""
        name: bytes | None = self._ffi.entry_pathname_utf8(entry) or self._ffi.entry_pathname(entry)
        return name or b""

    def size(self, entry: Any) -> int | None:
        """Bytes that it declares, if it does."""
        return int(self._ffi.entry_size(entry)) if self._ffi.entry_size_is_set(entry) else None

    def mode(self, entry: Any) -> int:
        """Its type as in stat(2)."""
        return int(self._ffi.entry_filetype(entry))

    def is_link(self, entry: Any) -> bool:
        """Whether it is another name for a file."""
        return bool(self._ffi.entry_hardlink_w(entry) or self._ffi.entry_hardlink(entry))

    def is_encrypted(self, entry: Any) -> bool:
        """Whether a password is needed for its content."""
        return bool(self._ffi.entry_is_encrypted(entry))

    def chunks(self) -> Iterator[bytes]:
        """The content of the entry that was last given. Raises Damaged."""
        while size := self._called(self._ffi.read_data, self._archive, self._buffer, _BUFFER):
            yield self._buffer.raw[:size]

    def close(self) -> None:
        """Free everything."""
        if self._archive is not None:
            self._ffi.read_free(self._archive)
            self._archive = None

    def _called(self, function: Any, *arguments: Any) -> int:
        """Call into the library. A warning is damage too: nobody wants part of a file."""
        from libarchive.exception import ArchiveError

        try:
            status = int(function(*arguments))
        except ArchiveError as error:
            raise Damaged(
                str(error.msg), fatal=error.retcode is None or error.retcode <= self._ffi.ARCHIVE_FATAL
            ) from error
        if status < 0 and function is self._ffi.read_data:
            raise Damaged(str(self._ffi._error_string(self._archive)), fatal=False)
        return status
