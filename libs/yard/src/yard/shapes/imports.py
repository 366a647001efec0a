"""How data comes in: sources, uploads, imports."""

from __future__ import annotations

from typing import Any, TypedDict

from yard.shapes.common import Resource


class Import(TypedDict, total=False):
    """An import of an uploaded archive: queued, running, then succeeded, failed or cancelled."""

    id: str
    dataset_id: str
    part: str
    state: str
    phase: str
    progress: float
    bytes_done: int
    bytes_total: int
    files_done: int
    files_total: int
    code: str
    reason: str
    unchanged: bool
    rate: float
    report: dict[str, Any] | None
    version_number: int | None


class Source(Resource, total=False):
    """A place where data lies; of its credentials only the names are told."""

    description: str
    connection: dict[str, Any]
    credentials: list[str]


class Part(TypedDict):
    """One part of an upload that arrived; `number` counts from 1."""

    number: int
    size: int
    sha256: str


class Upload(TypedDict, total=False):
    """An upload in parts of `part_size` bytes: open, completed or aborted. `arrived` are the parts that came.
    `direct`: they go straight to the file store, by links."""

    id: str
    direct: bool
    part_size: int
    arrived: list[Part]
    size: int
    state: str
    import_id: str | None
