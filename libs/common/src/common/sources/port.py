"""What an external source offers: a list of files and their bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol


class Found(NamedTuple):
    """One file of a source: its path below the source's prefix, its size in bytes, and a `tag` that changes with its
    content (an ETag, or when it was written)."""

    path: str
    size: int
    tag: str = ""


class Source(Protocol):
    """Files that lie elsewhere. Every method raises Unavailable (`source_unavailable`) where it does not answer, and
    Invalid (`source_refused`) where it does not let us in or has no such place."""

    def files(self) -> AsyncIterator[Found]:
        """Every file below the prefix."""
        ...

    def read(self, path: str) -> AsyncIterator[bytes]:
        """The bytes of one file, by the path that `files` gave, in chunks."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
