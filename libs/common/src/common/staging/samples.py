"""What a split goes by where the folder of a file doesn't tell its class, or where a file holds many samples.

An import notes both in the list of what is annotated, beside the version: `classes` has a JSON line `[path, [class,
…]]` for each file in which any is annotated, in the order of their paths. `rows/<path>` is about a file whose lines are
its samples: a JSON list of all that a sample's classes can be, a line's end, then of each sample the number of the
line in which it begins (from 1), and then of each the place of its classes in that list; both as 32 bits, the low ones
first. Where the samples are the elements of a JSON list, that first line is an object, whose `listed` are the classes,
and for lines stand the bytes at which the elements begin (from 0). Of several classes the rarest comes first: it is
what a sample is stratified by.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from common import manifests
from common.contracts.shared import ManifestRef
from common.kernel.errors import Problem
from common.manifests import Entry
from common.ports.files import Files

CLASSES = "classes"
_ROWS = "rows/"

Classes = Sequence[str]


class Rows(NamedTuple):
    """The samples of one file: the lines in which they begin, and what of `known` are the classes of each. Those that
    are `listed` are elements of a JSON list, all of them objects, and begin at these bytes (from 0)."""

    starts: array[int]
    kinds: array[int]
    known: Sequence[Classes]
    listed: bool = False

    def classes(self, number: int) -> Classes:
        """Those of one sample, by its number from 0."""
        return self.known[self.kinds[number]]


def rows_entry(path: str) -> str:
    """Where in the list it stands how the samples of a file lie in it."""
    return _ROWS + path


def written(rows: Rows) -> Iterator[bytes]:
    """That entry's content."""
    known = list(map(list, rows.known))
    yield orjson.dumps({"listed": known} if rows.listed else known) + b"\n"
    for numbers in (rows.starts, rows.kinds):
        yield _low_first(array("I", numbers)).tobytes()


def parsed(content: bytes) -> Rows:
    """The same, read again. Raises Problem (`file_corrupt`) where it is none."""
    head, _, numbers = content.partition(b"\n")
    half = len(numbers) // 2
    found = _json(head)
    listed = isinstance(found, dict)
    known = found.get("listed") if listed else found
    rows = Rows(array("I"), array("I"), known, listed)
    if not isinstance(known, list) or half % rows.starts.itemsize or len(numbers) % 2:
        raise _corrupt()
    rows.starts.frombytes(numbers[:half])
    rows.kinds.frombytes(numbers[half:])
    return Rows(_low_first(rows.starts), _low_first(rows.kinds), rows.known, rows.listed)


def _low_first(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


async def rows_in(files: Files, ref: ManifestRef) -> dict[str, Rows]:
    """How the samples lie in the files that hold many, by path. Raises Problem (`file_corrupt`)."""
    found = {}
    async for entry in manifests.entries_from(files, ref, _ROWS):
        if not entry.path.startswith(_ROWS):
            break
        found[entry.path.removeprefix(_ROWS)] = await rows_at(files, ref, entry)
    return found


async def rows_at(files: Files, ref: ManifestRef, entry: Entry) -> Rows:
    """How the samples lie in the file that this entry of the list is about. Raises Problem (`file_corrupt`)."""
    content = b"".join([chunk async for chunk in _checked(files, ref, entry)])
    return await asyncio.to_thread(parsed, content)


class FileClasses:
    """The classes of files, read once beside the list of the files, in the order of their paths."""

    def __init__(self, files: Files, ref: ManifestRef) -> None:
        self._lines = _lines(files, ref)
        self._next: tuple[str, Classes] | None = None

    async def upto(self, path: str) -> dict[str, Classes]:
        """Those of the files behind the last path that was asked for, up to this one."""
        found: dict[str, Classes] = {}
        while (told := self._next or await self._read()) is not None and told[0] <= path:
            found[told[0]] = told[1]
            self._next = None
        self._next = told
        return found

    async def _read(self) -> tuple[str, Classes] | None:
        line = await anext(self._lines, None)
        return tuple(_json(line)) if line is not None else None


async def _lines(files: Files, ref: ManifestRef) -> AsyncIterator[bytes]:
    """The lines of `classes`; none where there is no such entry."""
    [entry] = await manifests.find_many(files, ref, [CLASSES])
    rest = b""
    if entry is not None:
        async for chunk in _checked(files, ref, entry):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line


async def _checked(files: Files, ref: ManifestRef, entry: Entry) -> AsyncIterator[bytes]:
    """The bytes of an entry, and in the end whether they are what was stored. Raises Problem (`file_corrupt`)."""
    digest = hashlib.sha256()
    async for chunk in manifests.open_entry(files, ref, entry):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != entry.sha256:
        raise _corrupt()


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except ValueError as error:
        raise _corrupt() from error


def _corrupt() -> Problem:
    return Problem("file_corrupt", "What was noted of the dataset's samples is damaged. Import it again.")
