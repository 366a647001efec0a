"""Watches over one request that is passed on: the client may go away, the answer may never come.

A quick request costs one timer. Only one that lingers gets a task that listens for the client's going.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.types import Receive

LINGERS_AFTER_SECONDS = 0.25


class ClientGone(Exception):
    """The client went away before its request was whole."""


class Guard:
    """Cancels the present task when the client is `gone`, or no answer began in time (`late`).

    The task catches CancelledError, asks `interrupted`, and goes on as that says.
    """

    __slots__ = ("_deadline", "_lingers", "_loop", "_patience", "_receive", "_task", "_timer", "_uploading", "_watch",
                 "answered", "gone", "late")  # fmt: skip

    def __init__(self, receive: Receive, patience: float) -> None:
        """`patience`: seconds until the first byte of the answer."""
        self._receive = receive
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._uploading = False
        self._lingers = False
        self._watch: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._timer = self._loop.call_later(min(LINGERS_AFTER_SECONDS, patience), self._linger)
        self.answered = False
        self.gone = False
        self.late = False

    async def upload(self, first: bytes) -> AsyncIterator[bytes]:
        """The request's body as it comes in, `first` being what came already. Raises ClientGone."""
        self._uploading = True
        if first:
            yield first
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGone
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]
        self._uploading = False
        if self._lingers:
            self._start_watch()

    def _linger(self) -> None:
        self._lingers = True
        if not self.answered:
            self._deadline = self._loop.call_later(max(self._patience - LINGERS_AFTER_SECONDS, 0), self._is_late)
        if not self._uploading:
            self._start_watch()

    def _start_watch(self) -> None:
        self._watch = self._loop.create_task(self._watch_client())

    async def _watch_client(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self.gone = True
        self._interrupt()

    def _is_late(self) -> None:
        if self._uploading:  # the replica's time begins when it has the whole request
            self._deadline = self._loop.call_later(self._patience, self._is_late)
        elif not self.answered:
            self.late = True
            self._interrupt()

    def give_up(self) -> None:
        """It is known that no answer comes."""
        if not self.answered:
            self.late = True
            self._interrupt()

    def _interrupt(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def interrupted(self) -> bool:
        """Whether the cancellation just caught was this guard's (it is then taken back)."""
        if not (self.gone or self.late) or self._task is None:
            return False
        return self._task.uncancel() == 0

    def stop(self) -> None:
        """The request is over."""
        self.answered = True
        self._timer.cancel()
        if self._deadline is not None:
            self._deadline.cancel()
        if self._watch is not None:
            self._watch.cancel()
