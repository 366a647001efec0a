"""Events that a service could not take: for administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from yard.http import Http
from yard.shapes import DeadLetters, Replayed

_PAGE = 200


class Events:
    """`/events`; the live stream of them is `client.http.stream("events")`."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def dead(self, limit: int = 50, *, service: str | None = None) -> DeadLetters:
        """The first `limit` dead letters, service by service and oldest first, and which services did not answer."""
        told: DeadLetters = {"items": [], "unavailable": []}
        cursor = None
        while len(told["items"]) < limit:
            room = min(limit - len(told["items"]), _PAGE)
            page = self._http.get("events/dead", {"limit": room, "service": service, "cursor": cursor})
            told["items"] += page["items"]
            told["unavailable"] += page["unavailable"]
            cursor = page.get("next_cursor")
            if not cursor:
                break
        return told

    def replay(self, ids: Sequence[str]) -> Replayed:
        """Give these back to their handlers, for another series of tries; what could not be is in `failed`."""
        return cast(Replayed, self._http.act("events/dead/replay", {"ids": list(ids)}))

    def replay_all(self, *, service: str | None = None) -> Replayed:
        """Give all back to their handlers, or all of one service."""
        body = {"all": True, **({"service": service} if service else {})}
        return cast(Replayed, self._http.act("events/dead/replay", body))
