"""The live stream: every event that somebody may see, to whoever listens now.

Nothing is kept for those who don't: this is for screens, not for systems (they subscribe to the bus). A client that
can't keep up is told so and dropped, so that one slow screen costs a bounded buffer and nobody else anything.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import orjson

from common.kernel.events import CloudEvent
from common.web.identity import Principal
from gateway.domain.sight import for_users, may_hear, wanted

LONGEST_STREAM_SECONDS = 3600.0
"""Then the client connects again, with credentials that are still good."""


@dataclass(eq=False)
class Stream:
    """One listening client: at most `size` events wait for it."""

    who: Principal
    types: Sequence[str]
    size: int
    waiting: deque[bytes] = field(default_factory=deque)
    ended: str | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, event: CloudEvent, encoded: bytes) -> None:
        """Give it an event, if it may and wants to see it."""
        if self.ended or not wanted(event.type, self.types) or not may_hear(self.who.id, self.who.is_admin, event):
            return
        if len(self.waiting) >= self.size:
            self.end("slow")
            return
        self.waiting.append(encoded)
        self.news.set()

    def end(self, reason: str) -> None:
        """No more events; what waits is still delivered, unless the client is too slow."""
        if reason == "slow":
            self.waiting.clear()
        self.ended = self.ended or reason
        self.news.set()


class Live:
    """Everybody who listens now."""

    def __init__(self, *, buffer: int, ping_seconds: float) -> None:
        self._buffer = buffer
        self._ping_seconds = ping_seconds
        self._streams: set[Stream] = set()
        self._closed = False

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._streams)

    def publish(self, event: CloudEvent) -> None:
        """Give an event to all who may see it."""
        if not self._streams:
            return
        encoded = encode(for_users(event))
        for stream in self._streams:
            stream.offer(event, encoded)

    def end_of(self, user: str) -> None:
        """End that user's streams: something about their right to listen changed."""
        for stream in self._streams:
            if stream.who.id == user:
                stream.end("login")

    async def close(self) -> None:
        """End all streams, and those that begin from now on."""
        self._closed = True
        for stream in self._streams:
            stream.end("shutdown")

    async def listen(self, who: Principal, types: Sequence[str]) -> AsyncIterator[bytes]:
        """Server-sent events until the client goes or is dropped; the last one is `end` with the reason."""
        stream = Stream(who, types, self._buffer)
        self._streams.add(stream)
        if self._closed:
            stream.end("shutdown")
        closing = asyncio.get_running_loop().call_later(LONGEST_STREAM_SECONDS, stream.end, "reconnect")
        try:
            yield b": listening\n\n"
            while stream.waiting or not stream.ended:
                if stream.waiting:
                    yield stream.waiting.popleft()
                elif not await self._news(stream):
                    yield b": still here\n\n"
            yield b"event: end\ndata: " + orjson.dumps({"reason": stream.ended}) + b"\n\n"
        finally:
            closing.cancel()
            self._streams.discard(stream)

    async def _news(self, stream: Stream) -> bool:
        stream.news.clear()
        try:
            async with asyncio.timeout(self._ping_seconds):
                await stream.news.wait()
        except TimeoutError:
            return False
        return True


def encode(event: CloudEvent) -> bytes:
    """An event as a server-sent one: its id, its type, and the CloudEvent as JSON (structured mode)."""
    body = event.model_dump_json(exclude_none=True).encode()
    return b"id: " + event.id.encode() + b"\nevent: " + event.type.encode() + b"\ndata: " + body + b"\n\n"
