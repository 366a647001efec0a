"""The shared file systems of this machine, by the names that administrators gave them: imported from, or mounted.

A sub-path is walked from the root folder by folder, none of which may be a link: what somebody put there leads nowhere
else (row D11).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.kernel.errors import Invalid
from common.sources.shared import enter, parts_of


@dataclass(frozen=True)
class SharedRoots:
    """Folders by name; those in `writable` may also be written to by workloads."""

    paths: Mapping[str, Path] = field(default_factory=dict)
    writable: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Raises ValueError where a writable one is none of the roots."""
        if unknown := sorted(self.writable - self.paths.keys()):
            raise ValueError(f"{', '.join(unknown)}: no shared file system has that name")

    def folder(self, root: str, path: str, *, writable: bool = False) -> Path:
        """The folder at `path` of a root. Blocking.

        Raises Invalid (`unknown_root`, `source_refused`, `read_only_root`), Unavailable (`source_unavailable`) where
        its file server is away.
        """
        if root not in self.paths:
            there = ", ".join(sorted(self.paths)) or "none"
            raise Invalid("unknown_root", f"This machine has no shared file system {root!r}; it has: {there}.")
        if writable and root not in self.writable:
            raise Invalid("read_only_root", f"Workloads may read the shared file system {root!r}, not write to it.")
        parts = parts_of(path)
        os.close(enter(self.paths[root], parts))
        return self.paths[root].resolve().joinpath(*parts)
