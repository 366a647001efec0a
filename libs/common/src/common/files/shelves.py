"""Where the parts of an upload are noted: by a file of its own for each, in folders of a hundred."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PART = re.compile(r"^(\d{5})\.(\d{6})\.([0-9a-f]{64})(?:\.(\d+))?$").match
"""Number, generation and SHA-256 of a part, and its bytes where those are in the file of the whole."""
SHELF = 100
"""Parts that are noted in one folder."""


def shelf_of(folder: Path, number: int) -> Path:
    """Where a part is noted: few together, so that one of ten thousand is soon found."""
    return folder / f"parts-{number // SHELF:03d}"


def all_of(folder: Path) -> list[int]:
    """The numbers of those that there are, and of those on which parts would be that were noted before."""
    found = set()
    for path in folder.iterdir():
        if match := PART(path.name):
            found.add(int(match[1]) // SHELF)
        elif path.name.startswith("parts-"):
            found.add(int(path.name.removeprefix("parts-")))
    return sorted(found)


def noted(folder: Path, number: int) -> Iterator[Path]:
    """What is noted where that part is, and in the folder itself, as it was before there were shelves."""
    for place in (folder, shelf_of(folder, number)):
        with suppress(FileNotFoundError):
            yield from sorted(place.iterdir())
