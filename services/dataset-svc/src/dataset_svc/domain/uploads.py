"""Uploads: a file that arrives in numbered parts, each of which may be sent again, in any order (row D2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from common.kernel.errors import Conflict, Fault
from common.kernel.states import Transitions
from common.ports.files import DirectPart
from common.ports.files import Part as StoredPart
from dataset_svc.domain.errors import BadPart
from dataset_svc.domain.taxonomy import Part

MOST_PARTS = 10_000
"""Parts of one upload, as S3 has it."""

LONGEST_FILENAME = 255

_MIB = 1 << 20
_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


class UploadState(StrEnum):
    """`open`: parts may come; `completed`: it became an import; `aborted`: given up, or too old."""

    OPEN = "open"
    COMPLETED = "completed"
    ABORTED = "aborted"


TRANSITIONS = Transitions(
    "upload",
    UploadState.OPEN,
    {
        (UploadState.OPEN, "complete"): UploadState.COMPLETED,
        (UploadState.OPEN, "abort"): UploadState.ABORTED,
    },
    final=[UploadState.COMPLETED, UploadState.ABORTED],
)


@dataclass(frozen=True)
class Upload:
    """One upload of `size` bytes in parts of `part_size`, the last of which may be smaller.

    `archive` is the key that the whole will have, `handle` the file store's own id once the first part has come.
    `direct`: its parts go straight to the file store, by links.
    """

    id: str
    name: str
    owner: str
    dataset_id: str
    part: Part
    size: int
    part_size: int
    archive: str
    created_at: datetime
    updated_at: datetime
    sha256: str | None = None
    handle: str | None = None
    state: UploadState = UploadState.OPEN
    version: int = 1
    import_id: str | None = None
    direct: bool = False

    @property
    def part_count(self) -> int:
        """How many parts it has."""
        return -(-self.size // self.part_size)

    def check_open(self) -> None:
        """Raise Conflict (`upload_closed`) where it takes nothing more."""
        if self.state != UploadState.OPEN:
            raise Conflict("upload_closed", f"The upload {self.id} is {self.state}. Begin a new one.")

    def size_of(self, number: int) -> int:
        """Bytes that a part must have. Raises Invalid (`bad_part_number`), Conflict (`upload_closed`)."""
        self.check_open()
        if not 1 <= number <= self.part_count:
            raise BadPart("bad_part_number", f"Upload {self.id} has parts 1 to {self.part_count}, and no {number}.")
        return self.part_size if number < self.part_count else self.size - self.part_size * (self.part_count - 1)

    def check_complete(self, arrived: Mapping[int, int]) -> None:
        """Raise Conflict (`upload_incomplete`) unless every part is there; `arrived` is number → bytes."""
        missing = [n for n in range(1, self.part_count + 1) if arrived.get(n) != self.size_of(n)]
        if missing:
            shown = ", ".join(map(str, missing[:10])) + (" …" if len(missing) > 10 else "")
            detail = f"{len(missing)} of {self.part_count} parts are missing: {shown}. Send them, then complete again."
            raise Conflict("upload_incomplete", detail, missing=missing)

    def completed(self, import_id: str) -> Upload:
        """It became that import. Raises Conflict (`illegal_state`)."""
        return replace(self, state=TRANSITIONS.move(self.state, "complete"), import_id=import_id)

    def aborted(self) -> Upload:
        """Given up; its parts may go. Raises Conflict (`illegal_state`)."""
        return replace(self, state=TRANSITIONS.move(self.state, "abort"))


Arrived = StoredPart | DirectPart
"""A part that is there, whichever way it came."""


@dataclass(frozen=True)
class PartLink:
    """Where a part of `size` bytes is to be put."""

    number: int
    size: int
    url: str


@dataclass(frozen=True)
class PartLinks:
    """Links with the time up to which they hold."""

    items: Sequence[PartLink]
    expires_at: datetime


def part_size_for(size: int, usual: int, smallest: int = 1) -> int:
    """Bytes of each part of an upload of `size` bytes: the usual, or more where that would be too many parts."""
    needed = -(-size // MOST_PARTS)
    return max(usual, smallest, -(-needed // _MIB) * _MIB if needed > usual else 0)


def upload_faults(filename: str, size: int, sha256: str | None, largest: int) -> Iterable[Fault]:
    """What is wrong with an upload that is to begin."""
    if not filename.strip() or len(filename) > LONGEST_FILENAME or not filename.isprintable():
        yield Fault("filename", f"A file name has 1 to {LONGEST_FILENAME} characters and no control characters.")
    if size < 1:
        yield Fault("size", "An archive has at least one byte.")
    elif size > largest:
        yield Fault("size", f"At most {largest} bytes can be uploaded; this has {size}.")
    if sha256 is not None:
        yield from sha256_faults(sha256)


def sha256_faults(sha256: str, where: str = "sha256") -> list[Fault]:
    """What is wrong with the way a SHA-256 is written."""
    return [] if _SHA256.fullmatch(sha256) else [Fault(where, "A SHA-256 is written as 64 hexadecimal digits.")]
