"""The file store: immutable objects by key."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class FileInfo:
    """One stored object. `size` in bytes; `sha256` where it was computed when it was put."""

    key: str
    size: int
    modified: datetime
    sha256: str | None = None


@dataclass(frozen=True)
class Part:
    """One part of an upload. `number` counts from 1."""

    number: int
    size: int
    sha256: str


@dataclass(frozen=True)
class DirectPart:
    """One part that went straight to the store. `etag` is what the store called it, in its own form."""

    number: int
    size: int
    etag: str


@dataclass(frozen=True)
class FilesCapabilities:
    """What an adapter can do beyond the basics: `local_paths` (objects are files here), `presign` (it is `Linking`).

    `smallest_part`: bytes that every part of an upload but its last must have (S3 has such a limit).
    `smallest_direct`: the same of an upload by links.
    """

    local_paths: bool
    presign: bool
    smallest_part: int = 1
    smallest_direct: int = 1


Chunks = AsyncIterator[bytes]


class Files(Protocol):
    """Objects by key (`datasets/…/pack-0`), written whole or not at all.

    Keys are relative paths without `..`; a bad key raises Invalid (`bad_key`), an absent one NotFound
    (`file_not_found`), a full store StorageFull (`storage_full`). A reader never sees half an object.
    """

    capabilities: FilesCapabilities

    async def put(
        self, key: str, content: bytes | Chunks, *, sha256: str | None = None, if_absent: bool = False
    ) -> FileInfo:
        """Store an object. Raises Invalid (`checksum_mismatch`) where the content isn't `sha256`, Conflict
        (`file_exists`) where it exists and `if_absent`."""
        ...

    async def put_file(self, key: str, path: Path, *, move: bool = False) -> FileInfo:
        """Store a local file; with `move` it may be renamed into the store (it belongs to the store then)."""
        ...

    def get(self, key: str, start: int = 0, end: int | None = None) -> Chunks:
        """The bytes from `start` up to `end` (exclusive), in chunks."""
        ...

    async def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """The same bytes at once."""
        ...

    async def stat(self, key: str) -> FileInfo:
        """What is known of an object."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[FileInfo]:
        """Every object whose key starts with `prefix`, in the order of keys."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; removing an absent one is no error."""
        ...

    async def begin_upload(self, key: str, *, part_bytes: int | None = None) -> str:
        """Begin an upload in parts; gives its id, which survives a restart. `part_bytes`, where that is known, is what
        every part but the last will have, which may spare the store a copy."""
        ...

    async def put_part(self, upload: str, number: int, content: bytes | Chunks, *, sha256: str | None = None) -> Part:
        """Store one part whole or not at all; sending it again replaces it. Raises NotFound (`upload_not_found`),
        Invalid (`checksum_mismatch`) where the content isn't `sha256`: the part is then as it was."""
        ...

    async def parts(self, upload: str) -> Sequence[Part]:
        """The parts that arrived, by number."""
        ...

    async def complete_upload(self, upload: str, *, sha256: str | None = None) -> FileInfo:
        """Make the object from its parts, by number without a gap. Completing twice is completing once."""
        ...

    async def abort_upload(self, upload: str) -> None:
        """Throw the parts away; an unknown upload is no error."""
        ...

    def local_path(self, key: str) -> Path | None:
        """Where the object is a local file (read only), else None."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class Linking(Files, Protocol):
    """A file store whose capability `presign` is True: bytes go to and from it without passing through a service."""

    async def presign_get(
        self, key: str, seconds: int, *, name: str | None = None, span: tuple[int, int] | None = None
    ) -> str:
        """An address from which anybody can load the object, as a file called `name`, for that long; with `span` only
        its bytes from the first up to the second, by a request for exactly that range. Raises Invalid
        (`bad_link_time`)."""
        ...

    async def presign_put(self, key: str, seconds: int) -> str:
        """An address to which anybody can put the object for that long. Raises Invalid (`bad_link_time`)."""
        ...

    async def begin_direct(self, key: str) -> str:
        """Begin an upload whose parts go straight to the store; gives its id."""
        ...

    async def presign_part(self, key: str, upload: str, number: int, size: int, seconds: int) -> str:
        """An address to which anybody can put that part, of exactly `size` bytes, for that long; again replaces it.
        Raises Invalid (`bad_part_number`, `bad_link_time`)."""
        ...

    async def direct_parts(self, key: str, upload: str) -> Sequence[DirectPart]:
        """The parts that have arrived, by number. Raises NotFound (`upload_not_found`)."""
        ...

    async def complete_direct(self, key: str, upload: str, parts: Sequence[DirectPart]) -> None:
        """Make the object of these parts. Doing it twice is doing it once. Raises NotFound (`upload_not_found`)."""
        ...

    async def abort_direct(self, key: str) -> None:
        """Throw away every such upload to that key, also one whose id nobody kept; none is no error."""
        ...
