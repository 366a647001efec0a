"""The platform's side of making thumbnails: a few processes, started when somebody looks and ended when nobody does."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from common.kernel.errors import Unavailable
from dataset_svc.importing.confinement import environment
from dataset_svc.looking.thumbnails.order import MakerLimits, Order

_COMMAND = (sys.executable, "-P", "-m", "dataset_svc.looking.thumbnails.child")
_IDLE = 30.0
"""Seconds that a process waits for its next order."""
_MOST = 1_000
"""Thumbnails that one process makes: decoders lose memory."""
_GRACE = 20.0
"""Seconds for a process to start, beside those for a thumbnail."""


class NoThumbnail(Exception):
    """There is none of this file; the text says why."""


class Makers:
    """Makes thumbnails, `most` at a time."""

    def __init__(self, limits: MakerLimits, most: int = 2) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(most)
        self._free: list[_Maker] = []
        self._ending: set[asyncio.Task[None]] = set()

    async def make(self, data: bytes, order: Order) -> bytes:
        """A PNG. Raises NoThumbnail where the data is no image that can be decoded, Unavailable (`no_thumbnails`) where
        a process died over it or took too long."""
        async with self._turns:
            maker = self._free.pop() if self._free else _Maker(await self._started(), self._limits.seconds + _GRACE)
            try:
                return await maker.make(data, order)
            finally:
                await self._done(maker)

    async def stop(self) -> None:
        """End all processes that have nothing to do."""
        makers, self._free = self._free, []
        await asyncio.gather(*(maker.end() for maker in makers), *self._ending)

    async def _done(self, maker: _Maker) -> None:
        """Keep a process for the next order, for a while."""
        if not maker.good or maker.made >= _MOST:
            return await maker.end()
        self._free.append(maker)
        maker.sleep(_IDLE, self._forget)
        return None

    def _forget(self, maker: _Maker) -> None:
        """Nobody has wanted it."""
        if maker in self._free:
            self._free.remove(maker)
            ending = asyncio.create_task(maker.end())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _started(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            *_COMMAND, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment()
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._limits.as_json()).encode() + b"\n")
        return process


class _Maker:
    """One process. `good` says whether it can take another order."""

    def __init__(self, process: Process, seconds: float) -> None:
        self._process, self._seconds = process, seconds
        self._alarm: asyncio.TimerHandle | None = None
        self.good, self.made = True, 0

    def sleep(self, seconds: float, then: Callable[[_Maker], None]) -> None:
        """Wait for an order so long."""
        self._alarm = asyncio.get_running_loop().call_later(seconds, then, self)

    async def make(self, data: bytes, order: Order) -> bytes:
        """See Makers. Whatever cuts an order off leaves the process good for nothing."""
        if self._alarm is not None:
            self._alarm.cancel()
        self.good = False
        try:
            async with asyncio.timeout(self._seconds):
                told, png = await self._answer(data, order)
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            detail = "No thumbnail could be made of this image: it took too long, or too much memory."
            raise Unavailable("no_thumbnails", detail) from error
        self.good = True
        self.made += 1
        if reason := told.get("reason"):
            raise NoThumbnail(reason)
        return png

    async def _answer(self, data: bytes, order: Order) -> tuple[dict[str, Any], bytes]:
        source, target = self._process.stdout, self._process.stdin
        assert source is not None and target is not None  # noqa: PT018  (no test)
        target.write(json.dumps({**asdict(order), "bytes": len(data)}).encode() + b"\n")
        target.write(data)
        await target.drain()
        told = json.loads(await source.readline())
        return told, await source.readexactly(told["bytes"])

    async def end(self) -> None:
        """Make sure that the process is gone."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._process.returncode is None:
            self._process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
