"""Watching what a service depends on: does it answer, how does it stand, and since when does it not.

Each dependency is looked at once a second over a connection of the watch's own, so that neither a full pool nor a
request that hangs is taken for a dependency that is away. One that is silent is told to whoever uses it: what waits
for it ends, and what would begin to wait is refused at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from common.kernel.errors import Problem

LOOK_SECONDS = 2.0
"""How long a dependency may take to answer."""

EVERY_SECONDS = 1.0
SILENT_LOOKS = 2
"""After so many looks without an answer it counts as wedged: one alone may be this machine's own business."""

log = structlog.get_logger("health")


def nobody(_reason: str | None) -> None:
    """There is nobody to be told."""


def nothing() -> None:
    """There is nothing to remark."""


async def always() -> None:
    """It is always well."""


class Watch:
    """One dependency. `look` raises where it is not well; `tell(reason)` hears that it is wedged, or (None) no more.

    `remark` says what an operator should know of one that is well enough to work with.
    """

    def __init__(
        self,
        name: str,
        look: Callable[[], Awaitable[None]],
        tell: Callable[[str | None], None] = nobody,
        remark: Callable[[], str | None] = nothing,
    ) -> None:
        self.name = name
        self.remark = remark
        self.trouble: str | None = "it was not looked at yet"
        self._look = look
        self._tell = tell
        self._looking: asyncio.Task[None] | None = None
        self._silent = 0

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.now()
            await asyncio.sleep(EVERY_SECONDS)

    async def now(self) -> str | None:
        """What is wrong with it now, None where it is well; within `LOOK_SECONDS`. Two who ask share one look."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._ask(), name=f"look at {self.name}")
        await asyncio.shield(self._looking)  # which ends by itself, within that time
        return self.trouble

    async def _ask(self) -> None:
        asked = asyncio.ensure_future(self._look())
        done, _ = await asyncio.wait({asked}, timeout=LOOK_SECONDS)
        if not done:
            asked.cancel()
            asked.add_done_callback(_taken_note_of)
            self._silent += 1
            self._found(f"it does not answer within {LOOK_SECONDS:g} s")
            return
        self._silent = 0
        error = asked.exception()
        self._found(None if error is None else told(error))

    def _found(self, trouble: str | None) -> None:
        before, self.trouble = self.trouble, trouble
        if trouble is not None and trouble != before:
            log.warning("dependency is not well", dependency=self.name, reason=trouble)
        elif trouble is None and before is not None:
            log.info("dependency is well", dependency=self.name)
        self._tell(trouble if self._silent >= SILENT_LOOKS else None)


def told(error: BaseException) -> str:
    """A failure in words."""
    return error.detail if isinstance(error, Problem) else repr(error)


def _taken_note_of(task: asyncio.Future[None]) -> None:
    if not task.cancelled():
        task.exception()
