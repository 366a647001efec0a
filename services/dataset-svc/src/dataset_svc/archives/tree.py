"""The tree that the members make: which folder wraps everything, which folders have entries of their own, and
whether two names would become one on some file system. Knows no kind of archive."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from dataset_svc.archives import names

_BUCKETS = 256
_MASK = _BUCKETS - 1

Clash = Callable[[str, str], None]


class Tree:
    """Takes every path once. Of a file only a hash of its folded name is kept (8 bytes), of a folder its name.

    `clash(path, other)` is called for each path that some file system would take for `other`. After `close`,
    `wrapper` is the folder, with its `/`, in which all others lie and which says nothing; empty where there is none.
    """

    def __init__(self, clash: Clash) -> None:
        self._clash = clash
        self._hashes = [array("q") for _ in range(_BUCKETS)]
        self._above: dict[str, str] = {}
        self._parent = ""
        self._common: str | None = None
        self._nested = False
        self._named: list[str] = []
        self.wrapper = ""

    def add_file(self, path: str) -> None:
        """Take a file."""
        number = hash(path.lower() if path.isascii() else names.fold(path))
        self._hashes[number & _MASK].append(number)
        parent = path[: path.rfind("/") + 1]
        if parent != self._parent:
            self._parent = parent
            self._add_above(parent)
        if self._common is None or not path.startswith(self._common):
            self._shorten(parent)
        if not self._nested:
            self._nested = "/" in path[len(self._common or "") :]

    def add_folder(self, path: str) -> None:
        """Take a folder that has an entry of its own."""
        self._add_above(f"{path}/")
        self._named.append(path)

    @property
    def folders(self) -> list[str]:
        """Folders with an entry of their own, without the wrapper."""
        cut = len(self.wrapper)
        return [path[cut:] for path in self._named if len(path) > cut]

    def close(self, folded: Callable[[], Iterator[tuple[str, str]]]) -> None:
        """Say that all paths were given: find the wrapper and report duplicates.

        `folded` gives (folded, path) of every file again; it is called only if there are duplicates.
        """
        self.wrapper = self._find_wrapper()
        suspects: set[int] = set()
        folders = {hash(path): path for path in self._above}
        for bucket in self._hashes:
            once = set(bucket)
            if len(once) < len(bucket):
                suspects |= _repeated(bucket)
            suspects |= folders.keys() & once
        if not suspects:
            return
        seen = {folder: self._above[folder] for number, folder in folders.items() if number in suspects}
        for key, path in folded():
            if hash(key) not in suspects:
                continue
            if key in seen:
                self._clash(path, seen[key])
            else:
                seen[key] = path

    def _find_wrapper(self) -> str:
        """The innermost folder that holds everything wraps the rest if there are folders in it; else it is a class
        itself and only what is above it wraps. An entry for a folder above says nothing."""
        for folder in (f"{path}/" for path in self._named):
            if not (self._common or "").startswith(folder):
                self._shorten(folder)
                self._nested = True
        common = self._common or ""
        return common if self._nested else common[: common.rfind("/", 0, -1) + 1]

    def _shorten(self, folder: str) -> None:
        """Bring the common folder down to what it shares with `folder`."""
        if self._common is None:
            self._common = folder
        while not folder.startswith(self._common):
            self._common = self._common[: self._common.rfind("/", 0, -1) + 1]
            self._nested = True

    def _add_above(self, folder: str) -> None:
        """Take the folder and all above it, and report one that differs from another only in form or case."""
        end = len(folder) - 1
        while end > 0:
            path = folder[:end]
            key = names.fold(path)
            other = self._above.get(key)
            if other == path:
                return  # so is all above it
            if other is None:
                self._above[key] = path
            else:
                self._clash(path, other)
            end = path.rfind("/")


def _repeated(numbers: Iterable[int]) -> set[int]:
    """Those that are there more than once."""
    return {number for number, times in Counter(numbers).items() if times > 1}
