"""Server-sent events that go on after a lost connection where they stopped (WHATWG HTML §9.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2

from yard.errors import YardError
from yard.http import Http
from yard.pace import PAUSE_LONGEST, Patience

SILENCE = 60.0
"""Seconds without a sign of life after which the connection is taken for dead."""

AWAY = frozenset({502, 503, 504})
"""Answers that say that whoever streams is away."""


def follow(
    http: Http,
    path: str,
    params: Mapping[str, Any] | None = None,
    *,
    cursor: str | None = None,
    patience: float = 60.0,
) -> Iterator[httpx2.ServerSentEvent]:
    """Every event up to and with the one named `end`.

    After a lost connection it goes on behind the last id, told as `Last-Event-ID` and, where `cursor` is given, as
    that query parameter. Raises YardError (`stream_lost`) when that fails for `patience` seconds, and what whoever is
    to stream said where they were never there within the time that any request bears.
    """
    at = dict(params or {})
    headers: dict[str, str] = {}
    trying = Patience(patience, http.hour)
    first = Patience(http.patience, http.hour)
    was_there = False
    while True:
        reason, since, response = "the connection was closed", http.hour.now(), None
        try:
            with http.stream(path, at, headers, SILENCE) as response:
                was_there = True
                for event in httpx2.EventSource(response):
                    trying.renew()
                    if event.id:
                        headers["Last-Event-ID"] = event.id
                        at.update({cursor: event.id} if cursor else {})
                    yield event
                    if event.event == "end":
                        return
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
        except YardError as error:
            if error.status not in AWAY:
                raise
            if not was_there and first.wait():
                continue
            if not was_there:
                raise
            reason = error.detail  # whoever streams is being started again
        if response is not None and response.num_bytes_downloaded and http.hour.now() - since > PAUSE_LONGEST:
            trying.renew()  # no event came for long, but signs of life did
        if not trying.wait():
            raise YardError("stream_lost", f"The live stream broke off and could not be taken up again: {reason}.")
