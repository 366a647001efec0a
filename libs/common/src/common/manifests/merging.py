"""Going through two sorted indexes side by side: what is the same in both costs no parsing, and nothing is kept.

Works on index files of this machine, without an event loop, so that it can be done in a thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from common.manifests.index import Entry, Header, corrupt

_BUFFER = 1 << 20


class Pair(NamedTuple):
    """The lines of one path in the old and in the new list; None where it is only in the other.

    `same`: it is there in both with the same content, wherever its bytes are.
    """

    old: bytes | None
    new: bytes | None
    same: bool


def header_of(index: Path) -> Header:
    """The first line of an index file. Raises Problem (`manifest_corrupt`)."""
    with index.open("rb") as file:
        return Header.parse(file.readline())


def merged(old: Path, new: Path, *, new_is_body: bool = False) -> Iterator[Pair]:
    """Every path of two index files, in the order of paths. `new_is_body`: that file has no first line yet.

    Raises Problem (`manifest_corrupt`).
    """
    with ExitStack() as stack:
        olds = stack.enter_context(old.open("rb", buffering=_BUFFER))
        news = stack.enter_context(new.open("rb", buffering=_BUFFER))
        olds.readline()
        if not new_is_body:
            news.readline()
        a, b = olds.readline(), news.readline()
        while a and b:
            if identity(a) == identity(b):
                yield Pair(a, b, True)
                a, b = olds.readline(), news.readline()
                continue
            before, after = Entry.parse(a).path, Entry.parse(b).path
            yield Pair(a if before <= after else None, b if after <= before else None, False)
            a, b = olds.readline() if before <= after else a, news.readline() if after <= before else b
        yield from (Pair(line, None, False) for line in _rest(a, olds))
        yield from (Pair(None, line, False) for line in _rest(b, news))


def identity(line: bytes) -> bytes:
    """That part of a line which says path, size and digest, and not where the bytes are."""
    end = line.rfind(b',"o":')
    if end < 0:
        raise corrupt("a line of the index is cut off")
    return line[:end]


def _rest(line: bytes, lines: Iterator[bytes]) -> Iterator[bytes]:
    if line:
        yield line
        yield from lines
