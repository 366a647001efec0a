"""A folder of a shared file system that is mounted on this machine: never left, whatever links are in it."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import ParamSpec, TypeVar

import structlog

from common.kernel.errors import Invalid, Problem, Unavailable
from common.sources.port import Found

_P = ParamSpec("_P")
_T = TypeVar("_T")

log = structlog.get_logger("sources")

BATCH = 1000
"""Files whose sizes are looked at before they are told of."""

CHARSETS = ("utf-8", "gb18030")
"""How names may be written, as in zips: in UTF-8, or else as Chinese Windows does."""

MOST = 2_000_000
"""Names that one folder may have: they are all held while they are sorted."""

_CHUNK = 1 << 20
_THREADS = 8
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_NOT_SO = (errno.ENOENT, errno.ENAMETOOLONG)
"""Why a name is not there as it is written in one character set, and may be in another, where it is shorter."""

_AWAY = (
    errno.ESTALE,
    errno.EIO,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.ENOLINK,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
)
"""What a file system says whose server is away, restarts, or has a disk that fails: later it may say something else."""


class SharedSource:
    """The regular files below `prefix` of a root. Each step is taken from the folder before it, none over a link.

    What is neither file nor folder, such as a link, is left out and noted in the log.
    """

    def __init__(self, root: Path, prefix: str) -> None:
        """Raises Invalid (`source_refused`) for a prefix that leads out of the root."""
        self._root, self._parts = root, parts_of(prefix)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="shared")

    async def files(self) -> AsyncGenerator[Found, None]:
        """Every regular file, folder by folder: no more than one folder's names are held."""
        left_out: list[str] = []
        count, waiting = 0, [""]
        while waiting:
            names = await self._do(_Names, self._root, self._parts, waiting.pop())
            waiting += reversed(names.folders)
            count, left_out = count + len(names.others), left_out or names.others
            for start in range(0, len(names.files), BATCH):
                for found in await self._do(names.sized, names.files[start : start + BATCH]):
                    yield found
        if left_out:
            log.warning("links, pipes and devices are left out", root=str(self._root), entries=count, first=left_out[0])

    async def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one file."""
        with await self._do(self._open, path) as file:
            while chunk := await self._do(_piece, file, path):
                yield chunk

    def _open(self, path: str) -> FileIO:
        *folders, name = PurePosixPath(path).parts
        folder = enter(self._root, [*self._parts, *folders], CHARSETS)
        try:
            with _telling(path):
                return FileIO(_open_in(folder, name, _FILE, CHARSETS))
        finally:
            os.close(folder)

    async def _do(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Blocking work. Who is cancelled does not wait for its end, which may never come where a server is gone; what
        is opened then closes itself."""
        call = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    async def close(self) -> None:
        """End its threads."""
        self._threads.shutdown(wait=False)


class _Names:
    """What one folder has, sorted: `folders`, `files` and `others`, each as a path below the source. Blocking.

    Raises Invalid (`source_refused`) where it may not be entered, or a name can't be read or is there twice, and
    (`too_many_files`) above `MOST` of them; Unavailable (`source_unavailable`) where the file server is away.
    """

    def __init__(self, root: Path, above: Sequence[str], folder: str) -> None:
        self._root, self._parts, self._folder = root, [*above, *PurePosixPath(folder).parts], folder
        self.folders: list[str] = []
        self.files: list[str] = []
        self.others: list[str] = []
        with self._entered() as fd, os.scandir(fd) as entries:
            for number, entry in enumerate(entries):
                if number == MOST:
                    raise self._too_many()
                self._sort_in(entry).append(self._path(entry.name))
        for paths in (self.folders, self.files, self.others):
            paths.sort()
        self._check_twice()

    def sized(self, paths: Sequence[str]) -> list[Found]:
        """Those files with their sizes."""
        with self._entered() as fd:
            return [Found(path, self._size(fd, path)) for path in paths]

    @contextmanager
    def _entered(self) -> Iterator[int]:
        fd = enter(self._root, self._parts, CHARSETS)
        try:
            with _telling(self._shown()):
                yield fd
        finally:
            os.close(fd)

    def _shown(self) -> str:
        return self._folder or "/".join(self._parts) or "The top folder"

    def _too_many(self) -> Invalid:
        detail = f"More than {MOST} names lie in one folder: {self._shown()}. Spread them over several folders."
        return Invalid("too_many_files", detail)

    def _sort_in(self, entry: os.DirEntry[str]) -> list[str]:
        if entry.is_dir(follow_symlinks=False):
            return self.folders
        return self.files if entry.is_file(follow_symlinks=False) else self.others

    def _path(self, name: str) -> str:
        """The path of a name as the system gives it, in which surrogates stand for what is no UTF-8."""
        raw = os.fsencode(name)
        for charset in CHARSETS:
            try:
                return f"{self._folder}/{raw.decode(charset)}".removeprefix("/")
            except UnicodeDecodeError:
                continue
        shown = f"{self._folder}/{raw.decode('ascii', 'backslashreplace')}".removeprefix("/")
        raise Invalid("source_refused", f"{shown} can't be read: its name is neither UTF-8 nor GBK. Rename it.")

    def _check_twice(self) -> None:
        """Raise Invalid where one name is written in both character sets: whoever asks for it could mean either."""
        seen: set[str] = set()
        for path in (*self.folders, *self.files):
            if path in seen:
                detail = f"{path} is there twice, its name once in UTF-8 and once in GBK. Rename one of them."
                raise Invalid("source_refused", detail)
            seen.add(path)

    def _size(self, fd: int, path: str) -> int:
        name = path.rpartition("/")[2]
        with _telling(path):
            return _in_either(partial(os.stat, dir_fd=fd, follow_symlinks=False), name, CHARSETS).st_size


def parts_of(path: str) -> list[str]:
    """The folders of a sub-path. Raises Invalid (`source_refused`) where it leads out of the root."""
    parts = [part for part in PurePosixPath(path).parts if part.strip("/")]
    if "\0" in path:
        raise _leads_out(path)
    _check_names(parts)
    return parts


def _check_names(parts: Sequence[str]) -> None:
    """Raise Invalid unless each is the name of something in the folder before it: `/` is the machine's own root."""
    if any(part in ("", ".", "..") or "/" in part for part in parts):
        raise _leads_out("/".join(parts))


def _leads_out(path: str) -> Invalid:
    return Invalid("source_refused", f"The sub-path {path!r} leads out of the shared file system.")


def enter(root: Path, parts: Sequence[str], charsets: Sequence[str] = CHARSETS[:1]) -> int:
    """A descriptor of a folder below the root, over no link; its name may be written in one of the character sets.
    Blocking. Raises Invalid (`source_refused`), Unavailable (`source_unavailable`)."""
    _check_names(parts)
    try:
        fd = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        raise _problem(f"The shared file system can't be entered: {error.strerror}.", error) from error
    for part in parts:
        try:
            below = _open_in(fd, part, _FOLDER, charsets)
        except OSError as error:
            raise _no_way("/".join(parts), error) from error
        finally:
            os.close(fd)
        fd = below
    return fd


def _no_way(folder: str, error: OSError) -> Problem:
    if error.errno == errno.ENOENT:
        return Invalid("source_refused", f"There is no folder {folder}: {error.strerror}.")
    reason = "it is a link" if error.errno in (errno.ELOOP, errno.ENOTDIR) else error.strerror
    return _problem(f"The folder {folder} can't be entered: {reason}.", error)


def _problem(detail: str, error: OSError) -> Problem:
    """What a file system refused: for now where its server is away, else until somebody mends it."""
    if error.errno in _AWAY:
        return Unavailable("source_unavailable", f"{detail} The file server is away or in trouble: try again later.")
    return Invalid("source_refused", detail)


def _open_in(folder: int, name: str, how: int, charsets: Sequence[str]) -> int:
    """Open what has that name in a folder, in whichever character set it is written. Raises OSError."""
    return _in_either(partial(os.open, flags=how, dir_fd=folder), name, charsets)


def _in_either(call: Callable[[bytes], _T], name: str, charsets: Sequence[str]) -> _T:
    """What a call gives for a name, in the first character set in which it is there. Raises OSError."""
    for charset in charsets[:-1]:
        try:
            return call(name.encode(charset))
        except OSError as error:
            if error.errno not in _NOT_SO:
                raise
    return call(name.encode(charsets[-1]))


def _piece(file: FileIO, path: str) -> bytes:
    with _telling(path):
        return file.read(_CHUNK)


@contextmanager
def _telling(path: str) -> Iterator[None]:
    """Turn what the file system refuses into Invalid (`source_refused`) or Unavailable (`source_unavailable`)."""
    try:
        yield
    except OSError as error:
        raise _problem(f"{path} can't be read: {error.strerror}.", error) from error
