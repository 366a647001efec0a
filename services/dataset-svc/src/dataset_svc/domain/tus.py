"""The TUS protocol's words (tus.io, resumable uploads 1.0.0): what its headers say, without any I/O."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from common.kernel.errors import BadRequest, Conflict, Fault, Invalid
from dataset_svc.domain.taxonomy import Part
from dataset_svc.domain.uploads import Arrived, Upload

VERSION = "1.0.0"
EXTENSIONS = "creation,termination"
CONTENT_TYPE = "application/offset+octet-stream"


@dataclass(frozen=True)
class Wanted:
    """A file that is to come, from the headers that announce it."""

    filename: str
    size: int
    part: Part
    sha256: str | None


def wanted(length: int | None, metadata: str | None) -> Wanted:
    """What `Upload-Length` and `Upload-Metadata` announce: keys `filename`, `part` (train or test) and `sha256`.

    Raises Invalid (`invalid_upload`) with all faults.
    """
    faults = [Fault("Upload-Length", "Say how many bytes will come.")] if length is None else []
    try:
        known = _metadata(metadata or "")
    except (binascii.Error, ValueError):
        known = {}
        faults.append(Fault("Upload-Metadata", "It is a list of a key, a space and its value in Base64, with commas."))
    part = known.get("part", str(Part.TRAIN))
    if part not in tuple(Part):
        faults.append(Fault("Upload-Metadata.part", f"{part[:80]!r} is none of: {', '.join(Part)}."))
    if faults:
        raise Invalid("invalid_upload", f"The upload has {len(faults)} fault(s). {faults[0].reason}", faults=faults)
    return Wanted(known.get("filename") or "archive", length or 0, Part(part), known.get("sha256") or None)


def _metadata(text: str) -> dict[str, str]:
    pairs = [pair.strip().partition(" ") for pair in text.split(",") if pair.strip()]
    return {key: base64.b64decode(value.strip(), validate=True).decode() for key, _, value in pairs}


def whole_parts(upload: Upload, arrived: Sequence[Arrived]) -> int:
    """How many parts are there whole from the first on: what is behind a gap does not count."""
    sizes = {part.number: part.size for part in arrived}
    number = 0
    while number < upload.part_count and sizes.get(number + 1) == upload.size_of(number + 1):
        number += 1
    return number


def check_offset(upload: Upload, offset: int | None, reached: int) -> None:
    """Raise unless the client goes on where the upload stands: BadRequest (`no_offset`), Conflict (`wrong_offset`)."""
    if offset is None:
        raise BadRequest("no_offset", "Say in Upload-Offset at which byte the body begins.")
    if offset != reached:
        raise Conflict("wrong_offset", f"The upload {upload.id} is at byte {reached}, not {offset}. Go on from there.")


def tails_of(archive: str) -> str:
    """The prefix of the beginnings of parts that an upload to that key has left so far."""
    return f"{archive}.tail/"
