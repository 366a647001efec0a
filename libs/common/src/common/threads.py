"""Blocking work in threads that a cancelled task does not leave behind with its files half open."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def to_the_end(executor: Executor, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Run `function` in a thread. When the task is cancelled, wait for the thread before passing that on: its
    descriptors may be closed only then."""
    return await taken(executor, functools.partial(function, *args, **kwargs), lambda _: None)


async def taken(executor: Executor, function: Callable[[], _T], give_back: Callable[[_T], object]) -> _T:
    """The same where what it gives must be given back: so is what comes when the task is cancelled."""
    future = asyncio.get_running_loop().run_in_executor(executor, function)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:  # changes nothing
                continue
        if not future.cancelled() and future.exception() is None:
            give_back(future.result())
        raise
