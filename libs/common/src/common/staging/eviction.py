"""What to drop from the cache first. Pure.

A folder of links shares its bytes with the plain folder that it was made from, so bytes come free only when all that
share them go: they are a group, used when the latest of them was, and kept as long as any of them is held.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from common.staging.shelf import Note


@dataclass(frozen=True, slots=True)
class Group:
    """Bytes on disk and the folders that share them, those made of links first."""

    data: str
    bytes: int
    used: float
    names: tuple[str, ...]


def total(notes: Sequence[Note]) -> int:
    """Bytes on disk, shared ones counted once."""
    return sum({data: size for note in notes for data, size in note.data.items()}.values())


def plan(notes: Sequence[Note], held: Collection[str], keep_bytes: int) -> list[Group]:
    """The groups to drop, the one longest unused first, until at most `keep_bytes` remain or all else is held."""
    groups: dict[str, list[Note]] = {}
    for note in notes:
        for data in note.data:
            groups.setdefault(data, []).append(note)
    free = [_group(data, members) for data, members in groups.items() if not any(m.name in held for m in members)]
    excess = total(notes) - keep_bytes
    chosen = []
    for group in sorted(free, key=lambda g: (g.used, g.data)):
        if excess <= 0:
            break
        chosen.append(group)
        excess -= group.bytes
    return chosen


def _group(data: str, members: Sequence[Note]) -> Group:
    ordered = sorted(members, key=lambda note: (not note.is_view, note.name))
    return Group(data, members[0].data[data], max(m.used for m in members), tuple(m.name for m in ordered))
