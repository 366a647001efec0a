"""Making room in the cache: what nothing uses goes, and what doesn't fit is refused before anything is written."""

from __future__ import annotations

from common.disk import free_bytes, storage_full
from common.staging import eviction
from common.staging.shelf import Shelf


def make_room(shelf: Shelf, need: int, limit: int) -> None:
    """Drop what is unused where that is needed for `need` bytes more, of `limit` at most. Blocking.

    Raises StorageFull (`storage_full`).
    """
    remaining = eviction.total(shelf.notes())
    short = max(remaining + need - limit, need - free_bytes(shelf.cache), 0)
    if short:
        remaining -= evict(shelf, remaining - short)
    if remaining + need > limit:
        raise storage_full(
            f"{need} bytes in the staging cache", f"it may hold {limit}, of which {remaining} are in use"
        )
    if (free := free_bytes(shelf.cache)) < need:
        raise storage_full(f"{need} bytes in the staging cache", f"its disk has {free} left")


def evict(shelf: Shelf, keep_bytes: int) -> int:
    """Drop what nothing holds until at most `keep_bytes` remain; gives the bytes freed. Blocking."""
    before = shelf.notes()
    for group in eviction.plan(before, shelf.held(), keep_bytes):
        _drop(shelf, group)
    return eviction.total(before) - eviction.total(shelf.notes())


def _drop(shelf: Shelf, group: eviction.Group) -> None:
    """Drop folders that share bytes, links first. One that is being used at this moment saves the rest."""
    for name in group.names:
        with shelf.trying(name) as locked:
            others = any(group.data in note.data for note in shelf.notes() if note.name != name)
            if not locked or name in shelf.held() or (name == group.data and others):
                return
            shelf.drop(name)
