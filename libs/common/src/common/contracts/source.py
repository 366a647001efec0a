"""What dataset-svc tells other services of external sources (row D11)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from common.contracts.shared import Shape


class SourceFacts(Shape):
    """A source as others may know it. `kind` is that of its connection; `root` the shared file system of a `path`, and
    `prefix` what of it is meant."""

    id: str
    name: str
    owner: str
    kind: str
    root: str | None = None
    prefix: str = ""


class SourceOpening(Shape):
    """All that is needed to read a source: for the memory of who copies it to a node, and for nothing that is kept.

    `networks` are those inside the platform's own that may be reached; `files` how many it may have; `version` changes
    with its credentials.
    """

    connection: dict[str, Any]
    secrets: dict[str, str] = Field(default_factory=dict, repr=False)
    networks: tuple[str, ...] = ()
    files: int = 0
    version: int = 1
