"""How tests are shared out among the processes of a run: a file at a time, but for what takes long."""

from __future__ import annotations

import re

import pytest
from xdist.scheduler import LoadFileScheduling

FIRST = ("tests/faults", "tests/journeys", "tests/contracts/runtime")
"""What takes longest begins first, so that none is left alone with it at the end."""

_SHARED = re.compile(r"^tests/journeys/.*\[(processes|docker)\b")


class Sharing(LoadFileScheduling):  # type: ignore[misc]  # xdist says nothing of its types
    """By files; but journeys on one cluster go to one process, which alone has to start it, and faults one by one."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith("tests/faults"):
            return nodeid
        shared = _SHARED.match(nodeid)
        return f"journeys on {shared[1]}" if shared is not None else super()._split_scope(nodeid)


def longest_first(items: list[pytest.Item]) -> None:
    """Sort tests in place; those of a folder stay in order."""
    items.sort(
        key=lambda item: next((at for at, folder in enumerate(FIRST) if item.nodeid.startswith(folder)), len(FIRST))
    )
