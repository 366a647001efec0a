"""Archives without a directory that can be trusted: read twice from the beginning, once to look and once to take.

The first reading holds every name, size and sum against the limits and finds what wraps everything; only then is
content handed out. So nothing is stored of an archive that is refused, and nothing is ever written to look at it.
"""

from __future__ import annotations

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from unicodedata import normalize

from dataset_svc.archives import names
from dataset_svc.archives.limits import Limits
from dataset_svc.archives.port import ArchiveRefused, Finding, Member, Report, Tick
from dataset_svc.archives.tree import Tree

WHOLE = 512 << 10
"""Bytes up to which a member's content is handed out complete."""

_READ, _PASSED_OVER = 1, 0


class Entry(NamedTuple):
    """One entry as the archive has it. `mode` is its type (stat.S_IFMT), `link` whether it is another name for a
    file, `wrong` (code, reason) what the reader itself has against it. `chunks` gives the content, once, and only
    until the next entry is asked for; raises ArchiveRefused."""

    name: bytes | str
    size: int
    mode: int
    chunks: Callable[[], Iterator[bytes]]
    link: bool = False
    wrong: tuple[str, str] | None = None


class StreamArchive(ABC):
    """An archive that is read from its beginning to its end. A kind says only how its entries come.

    Owns the descriptor once it is made. Raises ArchiveRefused where looking is enough to refuse it.
    """

    kind = ""

    def __init__(self, descriptor: int, limits: Limits, report: Report, tick: Tick) -> None:
        self.length = os.fstat(descriptor).st_size
        self._descriptor, self._limits, self._report, self._tick = descriptor, limits, report, tick
        self._before = 0
        self.files = self.bytes = 0
        self._tree = Tree(self._duplicate)
        self._marks = bytearray()
        self._look()

    @property
    def folders(self) -> Sequence[str]:
        """See Archive."""
        return self._tree.folders

    def close(self) -> None:
        """See Archive."""
        os.close(self._descriptor)

    def members(self) -> Iterator[Member]:
        """See Archive."""
        self._before = self.length
        cut = len(self._tree.wrapper)
        marks = iter(self._marks)
        for entry in self._entries():
            if next(marks, _PASSED_OVER) != _READ:
                continue
            path = _path_of(entry.name)[cut:]
            try:
                yield self._member(entry, path)
            except ArchiveRefused as refused:
                if refused.finding.code != "damaged_member":
                    raise
                self._report(refused.finding)

    @abstractmethod
    def _entries(self) -> Iterator[Entry]:
        """Every entry from the beginning. Raises ArchiveRefused. Calls `_at` as it goes."""

    def _at(self, position: int) -> None:
        """The reading has come to this byte of the file; the two readings count half each."""
        self._tick((self._before + position) // 2)

    def _member(self, entry: Entry, path: str) -> Member:
        if entry.size > WHOLE:
            return Member(path, entry.size, None, lambda: self._counted(entry, path))
        return Member(path, entry.size, b"".join(self._counted(entry, path)))

    def _counted(self, entry: Entry, path: str) -> Iterator[bytes]:
        """The content, as long as it is what was declared. Raises ArchiveRefused (`size_mismatch`)."""
        made = 0
        for chunk in entry.chunks():
            made += len(chunk)
            if made > entry.size:
                break
            yield chunk
        if made != entry.size:
            raise ArchiveRefused("size_mismatch", path, "It doesn't unpack to the size that the archive declares.")

    def _look(self) -> None:
        """The first reading."""
        for count, entry in enumerate(self._entries()):
            if count >= self._limits.entries:
                raise ArchiveRefused(
                    "too_many_entries", "", f"The archive has more than {self._limits.entries:,} entries."
                )
            self._marks.append(self._place(entry))
        self._tree.close(self._folded)

    def _place(self, entry: Entry) -> int:
        """Check one entry and put it into the tree; gives its mark."""
        try:
            path = _path_of(entry.name)
        except UnicodeDecodeError:
            return self._wrong(entry, "name_encoding", "its name is neither UTF-8 nor GBK; pack it with UTF-8 names")
        folder = stat.S_ISDIR(entry.mode)
        if not path and folder:
            return _PASSED_OVER
        safe = names.obviously_safe(path) and len(path) <= names.LONGEST_NAME
        deep = path.count("/") >= self._limits.depth
        if (deep or not safe) and (wrong := names.what_is_wrong(path, self._limits.depth)):
            return self._wrong(entry, *wrong)
        if names.is_litter(path):
            return _PASSED_OVER
        if wrong := entry.wrong or _special(entry):
            return self._wrong(entry, *wrong)
        if folder:
            self._tree.add_folder(path.removesuffix("/"))
            return _PASSED_OVER
        self._count(entry, path)
        self._tree.add_file(path)
        return _READ

    def _count(self, entry: Entry, path: str) -> None:
        """Add a file to the totals, and hold them against the limits. Raises ArchiveRefused."""
        limits = self._limits
        self.files += 1
        self.bytes += entry.size
        if entry.size > limits.file_bytes:
            reason = f"It unpacks to {entry.size:,} bytes; a file may have {limits.file_bytes:,}."
            raise ArchiveRefused("file_too_large", path, reason)
        if self.bytes > limits.bytes:
            raise ArchiveRefused("too_many_bytes", "", f"The archive unpacks to more than {limits.bytes:,} bytes.")
        self._check_ratio(self.bytes)

    def _check_ratio(self, unpacked: int) -> None:
        """Raise ArchiveRefused (`ratio_bomb`) where so many bytes come out of so few."""
        limits = self._limits
        if unpacked > limits.ratio_floor and unpacked > self.length * limits.total_ratio:
            reason = f"The archive unpacks to more than {limits.total_ratio:g} times its size, as a bomb does."
            raise ArchiveRefused("ratio_bomb", "", reason)

    def _folded(self) -> Iterator[tuple[str, str]]:
        """(folded path, path) of every file to be read, by reading once more; only where names seem to clash."""
        for mark, entry in zip(self._marks, self._entries(), strict=False):
            if mark == _READ:
                path = _path_of(entry.name)
                yield names.fold(path), path

    def _wrong(self, entry: Entry, code: str, reason: str) -> int:
        self._report(Finding(code, _shown(entry.name), f"{reason[0].upper()}{reason[1:]}."))
        return _PASSED_OVER

    def _duplicate(self, path: str, other: str) -> None:
        reason = f"It is the same name as {other!r} where Unicode form and case don't count. Rename one of them."
        if path == other:
            reason = "It is in the archive more than once. Keep one."
        self._report(Finding("duplicate_name", path, reason))


def _special(entry: Entry) -> tuple[str, str] | None:
    """Why an entry that is not plainly a file or folder is refused, or None."""
    if entry.link or stat.S_ISLNK(entry.mode):
        return "link", "it is a link; pack the files themselves"
    if not stat.S_ISREG(entry.mode) and not stat.S_ISDIR(entry.mode):
        return "special_file", "it is a device, pipe or socket; only files and folders are taken"
    return None


def _path_of(name: bytes | str) -> str:
    """The name in NFC, without the `./` that tar puts before everything. Raises UnicodeDecodeError."""
    text = name if isinstance(name, str) else _decoded(name)
    while text.startswith("./"):
        text = text[2:]
    if text == ".":
        return ""
    return text if text.isascii() else normalize("NFC", text)


def _decoded(raw: bytes) -> str:
    """A name that declares no character set: UTF-8, as on every Unix, or else that of Chinese Windows."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("gb18030")


def _shown(name: bytes | str) -> str:
    """The name for people, whatever is wrong with it."""
    if isinstance(name, str):
        return name
    try:
        return _decoded(name)
    except UnicodeDecodeError:
        return name.decode("ascii", "backslashreplace")
