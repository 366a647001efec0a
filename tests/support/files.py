"""What processes have open."""

from __future__ import annotations

import os
from contextlib import suppress


def opened_by(pid: int) -> list[str]:
    """What a process has open: paths, and what the kernel calls the rest (`socket:[1]`). What it closes just now may
    be missing."""
    found = []
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    return found
