"""The TUS protocol's words (tus.io, resumable uploads 1.0.0): what its headers say, without any I/O."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from common.kernel.errors import BadRequest, Conflict, Fault, Invalid, Problem, TooLarge
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.uploads import Arrived, Upload, UploadState

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,checksum,termination"
ALGORITHMS = ("sha1", "sha256")
"""By which the bytes of one request may be checked."""
CONTENT_TYPE = "application/offset+octet-stream"


class UploadGone(Problem):
    """410: it was there and will not be again; a client begins anew."""

    status = 410
    title = "Gone for good"


class ChecksumMismatch(Problem):
    """460, TUS' own: the bytes of a request are not those of its checksum."""

    status = 460
    title = "The bytes differ from their checksum"


@dataclass(frozen=True)
class Wanted:
    """A file that is to come, from the headers that announce it."""

    filename: str
    size: int
    part: Part
    sha256: str | None


def number(text: str) -> int:
    """A number as the protocol writes it: digits, and nothing else. Raises ValueError."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError("It is a whole number, written in the digits 0 to 9 alone.")
    return int(text)


def wanted(length: int | None, metadata: str | None, *, deferred: bool, most: int) -> Wanted:
    """What `Upload-Length` and `Upload-Metadata` announce: keys `filename`, `part` (train or test) and `sha256`.

    Raises Invalid (`invalid_upload`) with all faults, TooLarge (`upload_too_large`) above `most` bytes.
    """
    faults = _length_faults(length, deferred)
    try:
        known = _metadata(metadata or "")
    except ValueError:
        known = {}
        reason = "It is a list, with commas, of a key, a space and its value in Base64; no key comes twice."
        faults.append(Fault("Upload-Metadata", reason))
    part = known.get("part", str(Part.TRAIN))
    if part not in tuple(Part):
        faults.append(Fault("Upload-Metadata.part", f"{part[:80]!r} is none of: {', '.join(Part)}."))
    if faults:
        raise Invalid("invalid_upload", f"The upload has {len(faults)} fault(s). {faults[0].reason}", faults=faults)
    if length is not None and length > most:
        raise TooLarge("upload_too_large", f"At most {most} bytes can be uploaded; this has {length}.", limit=most)
    return Wanted(known.get("filename") or "archive", length or 0, Part(part), known.get("sha256") or None)


def _length_faults(length: int | None, deferred: bool) -> list[Fault]:
    if deferred:
        return [Fault("Upload-Defer-Length", "The length can't be told later. Say it in Upload-Length.")]
    return [Fault("Upload-Length", "Say how many bytes will come.")] if length is None else []


def _metadata(text: str) -> dict[str, str]:
    """Raises ValueError for what is no metadata."""
    pairs = [pair.strip().partition(" ") for pair in text.split(",") if pair.strip()]
    known = {key: base64.b64decode(value.strip(), validate=True).decode() for key, _, value in pairs}
    if len(known) < len(pairs):
        raise ValueError("a key comes twice")
    return known


def metadata(upload: Upload) -> str:
    """What of an announced file's metadata is kept, written as it was told."""
    known = {"filename": upload.name, "part": str(upload.part), "sha256": upload.sha256}
    return ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in known.items() if text)


def moment(last: datetime, seconds: float) -> str:
    """When something that came last at a time expires, as a header says it."""
    return format_datetime((last + timedelta(seconds=seconds)).astimezone(UTC), usegmt=True)


@dataclass(frozen=True)
class Checksum:
    """What the bytes of a request must have."""

    algorithm: str
    digest: bytes

    def begun(self) -> hashlib._Hash:
        """Takes the bytes."""
        return hashlib.new(self.algorithm, usedforsecurity=False)

    def check(self, taken: hashlib._Hash) -> None:
        """Raise ChecksumMismatch (`checksum_mismatch`) unless they were those bytes."""
        if taken.digest() != self.digest:
            detail = f"The {self.algorithm} of the bytes is {taken.hexdigest()}, not {self.digest.hex()}. Nothing of"
            raise ChecksumMismatch("checksum_mismatch", f"{detail} this request is kept: send it again.")


def checksum(text: str | None) -> Checksum | None:
    """What `Upload-Checksum` says, where there is one. Raises BadRequest (`bad_checksum`)."""
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except ValueError:
        digest = b""
    if algorithm not in ALGORITHMS or len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        detail = f"Upload-Checksum is one of {', '.join(ALGORITHMS)}, a space and the checksum in Base64."
        raise BadRequest("bad_checksum", f"{detail} It was {text[:200]!r}.")
    return Checksum(algorithm, digest)


def whole_parts(upload: Upload, arrived: Sequence[Arrived]) -> int:
    """How many parts are there whole from the first on: what is behind a gap does not count."""
    sizes = {part.number: part.size for part in arrived}
    number = 0
    while number < upload.part_count and sizes.get(number + 1) == upload.size_of(number + 1):
        number += 1
    return number


def check_there(upload: Upload) -> None:
    """Raise UploadGone (`upload_gone`) for one that was given up or has expired: none of its bytes are there."""
    if upload.state == UploadState.ABORTED:
        raise UploadGone(
            "upload_gone", f"The upload {upload.id} was given up, or nothing came for too long. Begin anew."
        )


def check_offset(upload: Upload, offset: int | None, reached: int) -> None:
    """Raise unless the client goes on where the upload stands: BadRequest (`no_offset`), Conflict (`wrong_offset`)."""
    if offset is None:
        raise BadRequest("no_offset", "Say in Upload-Offset at which byte the body begins.")
    if offset != reached:
        raise Conflict("wrong_offset", f"The upload {upload.id} is at byte {reached}, not {offset}. Go on from there.")


def tails_of(archive: str) -> str:
    """The prefix of the beginnings of parts that an upload to that key has left so far."""
    return f"{archive}.tail/"
