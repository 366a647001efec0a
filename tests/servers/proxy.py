"""A TCP proxy that can swallow everything without a word, as a broken network does, or cut every connection."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

END_SECONDS = 2.0


class Proxy:
    """Passes a loopback port on to another; `async with` opens and closes it. `port` 0 takes a free one."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.target = target
        self.port = port
        self._passing = asyncio.Event()
        self._passing.set()
        self._answering = asyncio.Event()
        self._answering.set()
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.heal()
        self.cut()
        if self._tasks:  # with nobody at either end they come to their end by themselves
            await asyncio.wait(tuple(self._tasks), timeout=END_SECONDS)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def black_hole(self) -> None:
        """From now on nothing passes, and nobody is told."""
        self._passing.clear()

    def hold_answers(self) -> None:
        """From now on what is asked still arrives, and nothing comes back."""
        self._answering.clear()

    def heal(self) -> None:
        """Pass again, also what was held back."""
        self._passing.set()
        self._answering.set()

    def cut(self) -> None:
        """Reset every connection."""
        for stream in tuple(self._streams):
            stream.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._passing.wait()
            there, onward = await asyncio.open_connection("127.0.0.1", self.target)
            self._streams.add(onward)
            both = ((reader, onward, self._passing), (there, writer, self._answering))
            ways = [asyncio.create_task(self._pass(*way)) for way in both]
            self._tasks.update(ways)
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            writer.transport.abort()  # nobody listens there: neither do we
        finally:
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, free: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._passing.wait()
                await free.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort() if self._passing.is_set() and free.is_set() else None
