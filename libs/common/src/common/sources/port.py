"""What an external source offers: a list of files and their bytes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol

BARREN = 1000
"""Pages of a list that may follow each other without a file: what goes on so has no end."""


class Found(NamedTuple):
    """One file of a source: its path below the source's prefix, its size in bytes, and a `tag` that changes with its
    content (an ETag, or when it was written)."""

    path: str
    size: int
    tag: str = ""


class Source(Protocol):
    """Files that lie elsewhere. Every method raises Unavailable (`source_unavailable`) where it does not answer, and
    Invalid (`source_refused`) where it does not let us in, has no such place, or is none. Who stops in the middle
    closes what `files` and `read` give (`aclosing`), so that no connection is left waiting. A listing ends, or else
    gives files: how many it may have is for the caller to say."""

    def files(self) -> AsyncGenerator[Found, None]:
        """Every file below the prefix."""
        ...

    def read(self, path: str) -> AsyncGenerator[bytes, None]:
        """The bytes of one file, by the path that `files` gave, in chunks."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
