"""Points that clients post one by one, committed together: whoever comes while a commit runs joins the next one."""

from __future__ import annotations

import asyncio

from train_svc.domain.points import Column, Columns
from train_svc.metrics.store import Metrics


class Writer:
    """Group commit over `Metrics.add`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: list[tuple[str, Columns, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    async def add(self, attempt: str, columns: Columns) -> None:
        """Add columns, durable when this returns. Raises TooManySeries."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((attempt, columns, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain(), name="metrics writer")
        await done

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._task is not None:
            await self._task

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                await self._metrics.add(_joined(batch))
            except Exception as error:  # noqa: BLE001 - each asker is told its own
                await self._one_by_one(batch, error)
                continue
            for _, _, done in batch:
                _tell(done, None)

    async def _one_by_one(self, batch: list[tuple[str, Columns, asyncio.Future[None]]], error: Exception) -> None:
        """One of them is wrong: the others must not suffer."""
        if len(batch) == 1:
            _tell(batch[0][2], error)
            return
        for attempt, columns, done in batch:
            try:
                await self._metrics.add({attempt: columns})
            except Exception as own:  # noqa: BLE001 - told to who asked
                _tell(done, own)
            else:
                _tell(done, None)


def _tell(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return  # who asked went away
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _joined(batch: list[tuple[str, Columns, asyncio.Future[None]]]) -> dict[str, Columns]:
    """The columns of all, by attempt, in the order they came."""
    if len(batch) == 1:
        return {batch[0][0]: batch[0][1]}
    joined: dict[str, Columns] = {}
    for attempt, columns, _ in batch:
        mine = joined.setdefault(attempt, {})
        for name, column in columns.items():
            whole = mine.setdefault(name, Column())
            whole.steps.extend(column.steps)
            whole.values.extend(column.values)
    for mine in joined.values():
        for column in mine.values():
            column.settle()
    return joined
