"""Hearing from Docker that a workload started or ended, and hearing of Docker itself that it is back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from common.docker import Daemon, Refused
from common.kernel.errors import Problem
from common.runtime.docker.container import INSTANCE, WORKLOAD

log = structlog.get_logger("docker")

_PAUSE = 1.0
_LOOKS = (0.02, 0.03, 0.05, 0.1, 0.1, 0.2, 0.5, 1.0)
"""Seconds between looks at a container that started, until its supervisor says that the workload runs."""


class Watcher:
    """Listens to Docker's events as long as it is open. `connected` is called whenever Docker is there (again)."""

    def __init__(
        self, daemon: Daemon, instance: str, connected: Callable[[], Awaitable[None]], speaks: Callable[[str], bool]
    ) -> None:
        self._daemon, self._instance = daemon, instance
        self._connected, self._speaks = connected, speaks
        self._wakes: list[Callable[[str], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.gateway: Callable[[dict[str, Any]], bool] = lambda _: False

    def on_change(self, wake: Callable[[str], None]) -> None:
        """Call `wake(workload)` after every start and end."""
        self._wakes.append(wake)

    def open(self) -> None:
        """Listen from now on."""
        self._begin(self._listen())

    async def close(self) -> None:
        """Listen no more."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name="docker events")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _listen(self) -> None:
        away = False
        while True:
            try:
                events = self._daemon.events(type=["container"], event=["start", "die"])
                async with contextlib.aclosing(events):
                    async for event in events:
                        if event:
                            await self._hear(event)
                        else:
                            away = False
                            await self._connected()
            except (Problem, Refused, ValueError) as problem:
                if not away:
                    log.warning("docker is away; what runs goes on", reason=str(problem))
                away = True
            await asyncio.sleep(_PAUSE)

    async def _hear(self, event: dict[str, Any]) -> None:
        attributes = event.get("Actor", {}).get("Attributes", {})
        if self.gateway(attributes) and event.get("Action") == "start":
            await self._connected()
        if attributes.get(INSTANCE) != self._instance or WORKLOAD not in attributes:
            return
        self.tell(attributes[WORKLOAD])
        if event.get("Action") == "start":
            self._begin(self._until_it_speaks(attributes[WORKLOAD]))

    async def _until_it_speaks(self, workload: str) -> None:
        """The container runs a moment before the workload does; tell that too."""
        for pause in _LOOKS:
            if self._speaks(workload):
                break
            await asyncio.sleep(pause)
        self.tell(workload)

    def tell(self, workload: str) -> None:
        """Wake whoever waits for it."""
        for wake in self._wakes:
            with contextlib.suppress(RuntimeError):  # its loop is closed
                wake(workload)
