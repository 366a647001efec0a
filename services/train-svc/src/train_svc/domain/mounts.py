"""External sources that a job mounts as they are (row D11): what may be asked for, and what it comes to."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from common.contracts.source import SourceFacts
from common.kernel.errors import Fault

MOST = 16
"""Mounts of one job."""

RESERVED = frozenset({"code", "dataset", "train", "val", "test", "pretrained", "model", "results", "ckpt", "metrics"})
"""What the platform itself mounts or may mount."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")


@dataclass(frozen=True)
class Shared:
    """The names of the shared file systems that jobs can mount here, and of those that they may also write to."""

    roots: Collection[str]
    writable: Collection[str]


@dataclass(frozen=True)
class MountRequest:
    """A source at `MOUNT_DIR/<at>`, from `path` below its own place on."""

    source_id: str
    at: str
    path: str = ""
    read_only: bool = True


@dataclass(frozen=True)
class Mounted:
    """What a request came to. `path` is the whole path below `root`, or the prefix where there is no root: then it is
    copied to the node."""

    source_id: str
    name: str
    at: str
    path: str
    root: str | None = None
    read_only: bool = True


def mount_faults(
    requests: Sequence[MountRequest], sources: Mapping[str, SourceFacts], shared: Shared
) -> Iterator[Fault]:
    """Everything that is wrong with what was asked for, given the sources that the asker may mount."""
    if len(requests) > MOST:
        yield Fault("mounts", f"At most {MOST} sources can be mounted into one job.")
    for number, request in enumerate(requests):
        taken = {other.at for other in requests[:number]}
        for field, reason in _faults(request, sources.get(request.source_id), taken, shared):
            yield Fault(f"mounts.{number}.{field}", reason)


def _faults(
    request: MountRequest, source: SourceFacts | None, taken: Collection[str], shared: Shared
) -> Iterator[tuple[str, str]]:
    if not _NAME.match(request.at):
        yield "at", "A name of lower-case letters, digits, '-' and '_' that begins with a letter; at most 63."
    elif request.at in RESERVED:
        yield "at", f"{request.at!r} is a name of the platform's own; choose another, such as 'data1'."
    elif request.at in taken:
        yield "at", f"Two sources can't be at {request.at!r}."
    if ".." in PurePosixPath(request.path).parts or "\0" in request.path:
        yield "path", "It leads out of the source: a path below it has no '..' in it."
    if source is None:
        yield (
            "source_id",
            f"There is no source {request.source_id!r} of yours; `yard source list` shows which there are.",
        )
        return
    if source.root is not None and source.root not in shared.roots:
        yield "source_id", f"The machines that run jobs here have no shared file system {source.root!r}."
    if request.read_only:
        return
    if source.root is None:
        yield "read_only", f"A {source.kind} source is copied to the node when the job starts, so it is read-only."
    elif source.root not in shared.writable:
        yield "read_only", f"No administrator allowed jobs to write to the shared file system {source.root!r}."


def settled(request: MountRequest, source: SourceFacts) -> Mounted:
    """What a faultless request comes to."""
    path = "/".join(part for part in (source.prefix.strip("/"), request.path.strip("/")) if part)
    return Mounted(source.id, source.name, request.at, path, source.root, request.read_only)
