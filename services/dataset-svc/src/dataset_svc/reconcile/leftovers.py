"""Folders on which somebody works under a lease, called `<what>.<epoch>`, and what is left of them after a kill."""

from __future__ import annotations

from pathlib import Path


def left_behind(scratch: Path, epoch: int) -> list[Path]:
    """The folders of earlier epochs: of whoever was killed, or has lost the lease and only not noticed yet."""
    if not scratch.exists():
        return []
    return [path for path in scratch.iterdir() if _epoch(path) < epoch]


def _epoch(folder: Path) -> int:
    number = folder.suffix.removeprefix(".")
    return int(number) if number.isdigit() else 0
