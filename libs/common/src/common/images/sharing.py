"""One build for all who ask for the same engine at once, and everybody is told how it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from common.ports.images import EngineState, EngineStatus

Listener = Callable[[EngineStatus], None]


class SharedBuilds:
    """The builds of this process, by digest."""

    def __init__(self) -> None:
        self._builds: dict[str, asyncio.Task[Any]] = {}
        self._latest: dict[str, EngineStatus] = {}
        self._listeners: dict[str, list[Listener]] = {}

    def building(self, digest: str) -> EngineStatus | None:
        """How the build of it stands, where one is on its way."""
        return self._latest[digest] if digest in self._builds else None

    async def share(self, digest: str, build: Callable[[], Awaitable[Any]], progress: Listener | None) -> None:
        """Wait for the one build of it; it goes on where a waiter gives up. Raises what the build raises."""
        listeners = self._listeners.setdefault(digest, [])
        if progress is not None:
            listeners.append(progress)
        if digest not in self._builds:
            self.tell(digest, 0.0, "waiting to build")
            task: asyncio.Task[Any] = asyncio.create_task(_run(build), name=f"engine {digest[:12]}")
            task.add_done_callback(lambda done: self._forget(digest, done))
            self._builds[digest] = task
        try:
            await asyncio.shield(self._builds[digest])
        finally:
            if progress is not None:
                listeners.remove(progress)

    def tell(self, digest: str, value: float, detail: str) -> None:
        """Tell all who wait for it how far it is (0 to 1), and what is done now."""
        status = EngineStatus(EngineState.BUILDING, digest, progress=value, detail=detail)
        self._latest[digest] = status
        for listener in list(self._listeners.get(digest, ())):
            listener(status)

    async def close(self) -> None:
        """End the builds of this process; what they left is thrown away or carried on by the next build."""
        for task in list(self._builds.values()):
            task.cancel()
        await asyncio.gather(*self._builds.values(), return_exceptions=True)

    def _forget(self, digest: str, done: asyncio.Task[Any]) -> None:
        self._builds.pop(digest, None)
        self._latest.pop(digest, None)
        if not done.cancelled():
            done.exception()  # looked at, so that a failure that nobody waits for is no warning


async def _run(build: Callable[[], Awaitable[Any]]) -> Any:
    return await build()
