"""Content that comes as it likes, written in threads step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from common.files.draft import Draft
from common.files.whole import Place
from common.ports.files import Chunks

STEP = 1 << 20
"""Bytes read or written at one step: enough that handing over to a thread costs little."""

InThread = Callable[..., Awaitable[None]]


async def fill(draft: Draft | Place, content: Chunks, run: InThread) -> None:
    """Write content into a draft, a mebibyte at a time, and gather the next one meanwhile."""
    waiting: list[bytes] = []
    size = 0
    writing: asyncio.Future[None] | None = None
    try:
        async for chunk in content:
            waiting.append(chunk)
            size += len(chunk)
            if size >= STEP:
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(run(draft.write, *waiting))
                waiting, size = [], 0
    finally:
        if writing is not None:
            await writing
    await run(draft.write, *waiting)
