"""Server-sent events: what is new, a word now and then that the stream lives, and an `end` (WHATWG HTML §9.2)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

ALIVE = format_sse_event(comment="alive")


def event(name: str, data: dict[str, Any], event_id: int | None = None) -> bytes:
    """One event; its id is what a client sends back as `Last-Event-ID` to go on from there."""
    shown_id = str(event_id) if event_id is not None else None
    return format_sse_event(event=name, data_str=orjson.dumps(data).decode(), id=shown_id)


def streamed(events: AsyncIterator[bytes]) -> StreamingResponse:
    """The answer that streams them."""
    return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)


def resumed_at(request: Request, given: int) -> int:
    """Where to go on: after the last event that the client got, else where it asked to begin."""
    last = request.headers.get("last-event-id", "")
    return int(last) if last.isdecimal() and len(last) < 20 else given
