"""The index format `modelyard.manifest/1`.

First line: a JSON header. Then one JSON line a file, sorted by path (UTF-8 byte order, which is also the order of
Python's strings): `p` path, `s` size, `h` sha256 in hex, `o` number of the object in the header, `a` offset in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring  # type: ignore[attr-defined,unused-ignore]
from typing import NamedTuple

import orjson

from common.kernel.errors import Problem

FORMAT = "modelyard.manifest/1"

Line = bytes
"""A line of an index with its end; so called because `bytes` is also a field's name here."""


class Entry(NamedTuple):
    """One file: its path, size in bytes, SHA-256 in hex, and where its bytes are (object number, offset).

    A named tuple and not a dataclass, because one is made for each of millions of files.
    """

    path: str
    size: int
    sha256: str
    object: int
    offset: int

    def line(self) -> bytes:
        """The entry as its line of the index."""
        path, size, sha256, number, offset = self
        return f'{{"p":{encode_basestring(path)},"s":{size},"h":"{sha256}","o":{number},"a":{offset}}}\n'.encode()

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Read a line of the index. Raises Problem (`manifest_corrupt`)."""
        try:
            row = orjson.loads(line)
            return cls(row["p"], row["s"], row["h"], row["o"], row["a"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise corrupt(f"a line of the index can't be read ({error})") from error


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of an index: keys of the objects, number of files, their bytes, and the content digest."""

    objects: tuple[str, ...]
    files: int
    bytes: int
    digest: str

    def line(self) -> Line:
        """The header as the first line of the index."""
        return (
            orjson.dumps(
                {
                    "format": FORMAT,
                    "objects": list(self.objects),
                    "files": self.files,
                    "bytes": self.bytes,
                    "digest": self.digest,
                }
            )
            + b"\n"
        )

    @classmethod
    def parse(cls, line: Line) -> Header:
        """Read the first line. Raises Problem (`manifest_corrupt`) for anything but this format."""
        try:
            row = orjson.loads(line)
            if row["format"] != FORMAT:
                raise corrupt(f"its format is {row['format']!r} and not {FORMAT!r}")
            return cls(tuple(row["objects"]), row["files"], row["bytes"], row["digest"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise corrupt(f"its first line can't be read ({error})") from error


class ContentDigest:
    """The digest of a set of files, fed in the order of paths: the same however they are packed or archived."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.files = 0
        self.bytes = 0

    def add(self, entries: Sequence[Entry]) -> None:
        """Take the next files in."""
        told = [f"{path}\0{size}\0{sha256}\n" for path, size, sha256, _, _ in entries]
        self._hash.update("".join(told).encode())
        self.files += len(entries)
        self.bytes += sum([entry.size for entry in entries])

    def value(self) -> str:
        """The digest so far, as `sha256:` and 64 hex digits."""
        return f"sha256:{self._hash.hexdigest()}"


def corrupt(reason: str) -> Problem:
    """The problem that says that a stored manifest isn't what it was."""
    return Problem("manifest_corrupt", f"A stored list of files is damaged: {reason}. Import it again.")
