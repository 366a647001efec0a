"""The port behind which every kind of archive stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from dataset_svc.archives.limits import Limits


class Finding(NamedTuple):
    """Something wrong with an archive: a stable `code`, the member (empty for the archive itself), and the reason."""

    code: str
    file: str
    reason: str


class ArchiveRefused(Exception):
    """The archive, or the member being streamed, can't be read any further; `finding` says why."""

    def __init__(self, code: str, file: str, reason: str) -> None:
        super().__init__(f"{code}: {file}: {reason}")
        self.finding = Finding(code, file, reason)


Report = Callable[[Finding], None]
"""Takes what is wrong with one member, after which reading goes on with the next."""

Tick = Callable[[int], None]
"""Called about once a MiB with the number of bytes of the archive that have been read."""


class Member:
    """One regular file. `path` is relative, NFC and without the archive's wrapping folder; `size` is in bytes.

    A small member's content is in `data`, complete and verified. Otherwise `data` is None and `chunks` streams it.
    """

    __slots__ = ("_open", "data", "path", "size")

    def __init__(
        self, path: str, size: int, data: bytes | None, opener: Callable[[], Iterator[bytes]] | None = None
    ) -> None:
        self.path = path
        self.size = size
        self.data = data
        self._open = opener

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces of at most a MiB. Raises ArchiveRefused where it is not what was declared."""
        if self._open is not None:
            return self._open()
        assert self.data is not None
        return iter((self.data,))


class Archive(Protocol):
    """An archive opened for reading, already checked as far as possible without unpacking it.

    `files` and `bytes` are the declared number and size of the members, `length` the archive's own size in bytes.
    """

    kind: str
    files: int
    bytes: int
    length: int

    @property
    def folders(self) -> Sequence[str]:
        """Folders that have an entry of their own, without the wrapping folder: how empty ones are known."""
        ...

    def members(self) -> Iterator[Member]:
        """Every regular file once. What is wrong with one member is reported and the member left out.

        Raises ArchiveRefused where reading can't go on (a limit, a bomb, damage).
        """
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Opener(Protocol):
    """Makes an Archive of an open descriptor, which it then owns. Raises ArchiveRefused."""

    def __call__(self, descriptor: int, limits: Limits, report: Report, tick: Tick) -> Archive:
        """See open_archive."""
        ...
