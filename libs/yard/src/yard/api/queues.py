"""Queues: what groups may use, and who waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from yard.http import Http, joined
from yard.shapes import Queue


class Queues:
    """`/queues`. Every method raises YardError; making and removing queues takes an administrator."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def look(self) -> tuple[list[Queue], dict[str, int]]:
        """All queues with who waits in them, and the priorities that have names."""
        told = self._http.get("queues")
        return told["items"], told["priority_classes"]

    def show(self, name: str) -> Queue:
        """One queue."""
        return cast(Queue, self._http.get(f"queues/{joined([name])}"))

    def put(self, name: str, queue: Mapping[str, Any]) -> Queue:
        """Make or change a queue: `group`, `guaranteed`, `maximum`, `borrowing`, `cohort`, `weight`, `per_user`."""
        return cast(Queue, self._http.send("PUT", f"queues/{joined([name])}", json=queue).json())

    def remove(self, name: str) -> None:
        """Remove a queue that nobody uses."""
        self._http.send("DELETE", f"queues/{joined([name])}")
