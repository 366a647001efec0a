"""What several kinds of resources share."""

from __future__ import annotations

from typing import TypedDict


class Resource(TypedDict, total=False):
    """What every resource has. `version` counts its changes and may be sent back as `after`."""

    id: str
    name: str
    description: str
    owner: str
    state: str
    visibility: str
    version: int
    created_at: str
    updated_at: str


class File(TypedDict, total=False):
    """One file of a job's results or of a model."""

    path: str
    size: int
    sha256: str


class LogPart(TypedDict):
    """A piece of a log; reading goes on at `next_offset` (bytes)."""

    text: str
    next_offset: int
