"""Work in a thread that a test holds on to while it cancels who waits for it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

PATIENCE_SECONDS = 60.0


class Gate:
    """Whoever goes through it in a thread waits inside until it is opened."""

    def __init__(self) -> None:
        self._inside, self._open = threading.Event(), threading.Event()

    def pass_through(self) -> None:
        self._inside.set()
        assert self._open.wait(PATIENCE_SECONDS)

    async def cancelled_inside(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task whose thread is inside: it is there until the thread is out, and cancelled then."""
        assert await asyncio.to_thread(self._inside.wait, PATIENCE_SECONDS)
        for _ in range(3):  # the loop of sets does it in every round
            task.cancel()
            for _ in range(5):
                await asyncio.sleep(0)
        left = task.done()
        self._open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not left, "it left its thread behind"
