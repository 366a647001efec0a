"""The first pass: everything that the central directory alone can tell, before a byte is unpacked.

It keeps a few bytes an entry (a flag and a hash), so that an archive of a million files needs some ten megabytes.
"""

from __future__ import annotations

import stat
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from unicodedata import normalize

from dataset_svc.archives import names
from dataset_svc.archives.limits import Limits
from dataset_svc.archives.port import ArchiveRefused, Finding, Report
from dataset_svc.archives.tree import Tree
from dataset_svc.archives.zip import methods
from dataset_svc.archives.zip.directory import Header, fields

_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_UTF8 = 0x0800
_ODD_FLAGS = _ENCRYPTED | 0x0020
_AES = 99
_FAT_FOLDER = 0x10
_UNIX, _MACOS = 3, 19
_UNICODE_PATH = 0x7075
_UNICODE_PATH_MARK = _UNICODE_PATH.to_bytes(2, "little")
_LOCAL_HEADER = 30
READ, PASSED_OVER = 0, 1

Headers = Callable[[], Iterator[Header]]


class Survey:
    """What the first pass found. `marks` says for each entry whether it is to be read; `starts` are the sorted
    positions of the members where the directory is not in their order, else None."""

    def __init__(self, headers: Headers, end: int, limits: Limits, report: Report) -> None:
        self._headers, self._end, self._limits, self._report = headers, end, limits, report
        self._notable = min(limits.ratio_floor, limits.file_bytes)
        self._charset: str | None = None
        self.tree = Tree(self._duplicate)
        self.marks = bytearray()
        self.starts: array[int] | None = None
        self.files = self.bytes = self._packed = 0
        self._take_all()
        self.tree.close(self._folded)

    def path(self, header: Header) -> str:
        """The member's path, NFC, with the wrapping folder. Raises UnicodeDecodeError."""
        raw = header.name
        if raw.isascii() and _UNICODE_PATH_MARK not in header.extra:
            return raw.decode("ascii")
        return self._difficult_path(header)

    def _take_all(self) -> None:
        """Look at every entry once, and at their order."""
        limits, marks, place = self._limits, self.marks, self._place
        last_start = last_end = 0
        ordered = True
        for count, header in enumerate(self._headers()):
            if count >= limits.entries:
                raise _refused("too_many_entries", "", f"The archive has more than {limits.entries:,} entries.")
            start = header.offset
            if start < last_end:
                if start >= last_start:
                    raise self._overlap(header)
                ordered = False
            last_start, last_end = start, start + _LOCAL_HEADER + len(header.name) + header.packed
            if last_end > self._end:
                raise self._overlap(header)
            marks.append(place(header))
        self._check_totals()
        if not ordered:
            self._order()

    def _place(self, header: Header) -> int:
        """Check one entry and put it into the tree; gives its mark."""
        try:
            path = self.path(header)
        except UnicodeDecodeError:
            return self._wrong(header, "name_encoding", "its name is neither UTF-8 nor GBK; pack it with UTF-8 names")
        folder = path.endswith("/")
        if not names.obviously_safe(path) or len(path) > names.LONGEST_NAME or path.count("/") >= self._limits.depth:
            if wrong := names.what_is_wrong(path, self._limits.depth):
                return self._wrong(header, *wrong)
            if names.is_litter(path):
                return PASSED_OVER
        elif path.endswith(names.LITTER_FILES) and names.is_litter(path):
            return PASSED_OVER
        kind = stat.S_IFMT(header.attributes >> 16)
        odd = header.flags & _ODD_FLAGS or header.method not in methods.READABLE
        if odd or folder or kind not in (0, stat.S_IFREG):
            if wrong := _special(header, kind, folder):
                return self._wrong(header, *wrong)
            if folder or kind == stat.S_IFDIR:
                self.tree.add_folder(path.removesuffix("/"))
                return PASSED_OVER
        self._count(header, path)
        self.tree.add_file(path)
        return READ

    def _count(self, header: Header, path: str) -> None:
        """Add a file to the totals, and hold it against the limits."""
        self.files += 1
        self.bytes += header.size
        self._packed += header.packed
        if header.size > self._notable:
            self._check_size(header, path)

    def _check_size(self, header: Header, path: str) -> None:
        size, limits = header.size, self._limits
        if size > limits.file_bytes:
            reason = f"It unpacks to {size:,} bytes; a file may have {limits.file_bytes:,}."
            raise _refused("file_too_large", path, reason)
        if size > max(limits.ratio_floor, header.packed * limits.member_ratio):
            reason = f"It unpacks to more than {limits.member_ratio:g} times its size, as a zip bomb does."
            raise _refused("ratio_bomb", path, reason)

    def _check_totals(self) -> None:
        """Hold the sums against the limits."""
        limits = self._limits
        if self.bytes > limits.bytes:
            reason = f"The archive unpacks to {self.bytes:,} bytes; {limits.bytes:,} are allowed."
            raise _refused("too_many_bytes", "", reason)
        if self.bytes > limits.ratio_floor and self.bytes > self._packed * limits.total_ratio:
            reason = f"The archive unpacks to more than {limits.total_ratio:g} times its size, as a zip bomb does."
            raise _refused("ratio_bomb", "", reason)

    def _order(self) -> None:
        """The directory is not in the members' order: find overlaps by sorting."""
        starts, ends = array("Q"), array("Q")
        for header in self._headers():
            starts.append(header.offset)
            ends.append(header.offset + _LOCAL_HEADER + len(header.name) + header.packed)
        order = sorted(range(len(starts)), key=starts.__getitem__)
        for before, after in pairwise(order):
            if ends[before] > starts[after]:
                raise self._overlap(next(h for n, h in enumerate(self._headers()) if n == after))
        self.starts = array("Q", (starts[number] for number in order))

    def _difficult_path(self, header: Header) -> str:
        """The path of a member whose name is not ASCII, or that may have another one in its extra fields."""
        raw = header.name
        for identifier, content in fields(header.extra):
            current = identifier == _UNICODE_PATH and content[:1] == b"\x01"
            if current and int.from_bytes(content[1:5], "little") == zlib.crc32(raw):
                return normalize("NFC", content[5:].decode("utf-8"))
        if raw.isascii():
            return raw.decode("ascii")
        if header.flags & _UTF8:
            return normalize("NFC", raw.decode("utf-8"))
        if self._charset is None:
            self._charset = _charset(self._headers())
        return normalize("NFC", raw.decode(self._charset))

    def _folded(self) -> Iterator[tuple[str, str]]:
        """(folded path, path) of every file to be read, again."""
        for mark, header in zip(self.marks, self._headers(), strict=True):
            if mark == READ:
                path = self.path(header)
                yield names.fold(path), path

    def _wrong(self, header: Header, code: str, reason: str) -> int:
        self._report(Finding(code, shown(header.name), f"{reason[0].upper()}{reason[1:]}."))
        return PASSED_OVER

    def _duplicate(self, path: str, other: str) -> None:
        reason = f"It is the same name as {other!r} where Unicode form and case don't count. Rename one of them."
        if path == other:
            reason = "It is in the archive more than once. Keep one."
        self._report(Finding("duplicate_name", path, reason))

    @staticmethod
    def _overlap(header: Header) -> ArchiveRefused:
        reason = "Its data overlaps that of another member or the directory, as in a zip bomb."
        return _refused("overlap", shown(header.name), reason)


def _special(header: Header, kind: int, folder: bool) -> tuple[str, str] | None:
    """Why an entry that is not plainly a file is refused, or None."""
    if kind == stat.S_IFLNK:
        return "link", "it is a symbolic link; pack the files themselves"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "special_file", "it is a device, pipe or socket; only files and folders are taken"
    if header.flags & _ENCRYPTED or header.method == _AES:
        return "encrypted", "it is encrypted; pack it without a password"
    if header.flags & 0x0020:
        return "unsupported_method", "it is a patch of another file, which nobody reads; pack it anew"
    if folder or kind == stat.S_IFDIR:
        return ("damaged", "it is a folder that has content; pack it anew") if header.size else None
    if header.method not in methods.READABLE:
        name = methods.NAMES.get(header.method, f"method {header.method}")
        return "unsupported_method", f"it is compressed with {name}; pack it with Deflate, the usual method"
    return None


def _charset(headers: Iterable[Header]) -> str:
    """The character set of the names that declare none."""
    charset = names.Charset()
    for header in headers:
        if not header.name.isascii() and not header.flags & _UTF8:
            charset.see(header.name, unix=header.host in (_UNIX, _MACOS))
    return charset.name


def shown(raw: bytes) -> str:
    """A member's raw name for people, whatever is wrong with it."""
    for charset in ("utf-8", "gb18030"):
        try:
            return raw.decode(charset)
        except UnicodeDecodeError:
            continue
    return raw.decode("ascii", "backslashreplace")


def _refused(code: str, file: str, reason: str) -> ArchiveRefused:
    return ArchiveRefused(code, file, reason)
