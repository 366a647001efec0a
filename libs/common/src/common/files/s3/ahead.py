"""Reading a large object: some ranges on their way at once, handed on in their order.

One answer is limited by what one thread of the server sends; the hash that content is held against takes time too.
With a few answers side by side neither is waited for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from common.files.s3.wire import Head, Wire
from common.kernel.errors import Unavailable

WINDOW = 8 << 20
"""Bytes asked for at once; smaller objects come by one request."""

AT_ONCE = 3
"""Ranges on their way; memory holds these."""


async def ahead(wire: Wire, name: str, head: Head, start: int, stop: int) -> AsyncGenerator[list[bytes], None]:
    """The chunks of each range from `start` up to `stop`. `head`: what the object was when it was first asked for.

    Raises Unavailable (`file_changed`) where it was replaced meanwhile, and what `Wire.get` does.
    """
    coming: deque[asyncio.Task[list[bytes]]] = deque()
    begins = iter(range(start, stop, WINDOW))
    try:
        while True:
            while len(coming) < AT_ONCE and (begin := next(begins, None)) is not None:
                coming.append(asyncio.create_task(_range(wire, name, head, begin, min(begin + WINDOW, stop))))
            if not coming:
                return
            yield await coming.popleft()
    finally:
        for task in coming:
            task.cancel()
        await asyncio.gather(*coming, return_exceptions=True)


async def _range(wire: Wire, name: str, head: Head, start: int, stop: int) -> list[bytes]:
    async with wire.get(name, start, stop) as (found, body):
        if (found.etag, found.size, found.at) != (head.etag, head.size, start):
            raise Unavailable("file_changed", f"{name!r} was replaced while it was being read. Read it again.")
        chunks = [chunk async for chunk in body]
    if sum(map(len, chunks)) != stop - start:
        raise Unavailable("files_unavailable", f"The file store ended {name!r} before its end. Try again.")
    return chunks
