"""A `Proxy` for tests that don't run in an event loop: it lives in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.servers.proxy import Proxy


class Passage:
    """What passes a proxy, from outside its loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, proxy: Proxy) -> None:
        self._loop = loop
        self._proxy = proxy
        self.port = proxy.port

    def black_hole(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._do(self._proxy.black_hole)

    def hold_answers(self) -> None:
        """From now on what is asked still arrives, and nothing comes back."""
        self._do(self._proxy.hold_answers)

    def cut(self) -> None:
        """Reset every connection."""
        self._do(self._proxy.cut)

    def heal(self) -> None:
        """Pass again."""
        self._do(self._proxy.heal)

    def _do(self, what: Callable[[], None]) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(what)
        self._loop.call_soon_threadsafe(done.set)
        assert done.wait(180)


@contextmanager
def passage(target: int, port: int = 0) -> Iterator[Passage]:
    """A proxy before a loopback port, at `port` or a free one."""
    ready: list[Passage] = []
    is_ready, over = threading.Event(), asyncio.Event()

    async def live() -> None:
        async with Proxy(target, port) as proxy:
            ready.append(Passage(asyncio.get_running_loop(), proxy))
            is_ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()), name=f"proxy before {target}")
    thread.start()
    assert is_ready.wait(180)
    try:
        yield ready[0]
    finally:
        ready[0].heal()
        ready[0]._loop.call_soon_threadsafe(over.set)
        thread.join(180)
