"""Hearing at once that a workload started or ended, without asking again and again.

A supervisor holds a pipe until its child runs; a pidfd becomes readable when the supervisor ends. Both are hints:
what counts is in the workload's folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable


class Watcher:
    """Watches supervisors in the running event loop."""

    def __init__(self) -> None:
        self._wakes: list[Callable[[str], None]] = []
        self._ends: dict[int, tuple[str, int]] = {}
        self._starts: dict[int, str] = {}

    def on_change(self, wake: Callable[[str], None]) -> None:
        """Call `wake(workload)` after every start and end."""
        self._wakes.append(wake)

    def watches(self, workload: str) -> bool:
        """Whether a supervisor of it is watched, and thus was alive a moment ago."""
        return any(name == workload for name, _ in self._ends.values())

    def watch_start(self, workload: str, pipe: int) -> None:
        """Wake when nobody holds the other end of `pipe` any more; takes the pipe over."""
        self._starts[pipe] = workload
        asyncio.get_running_loop().add_reader(pipe, self._started, pipe)

    def watch_end(self, workload: str, pid: int, own: int | None = None) -> None:
        """Wake when the process ends, and take leave of it if it is ours. Its pidfd, where there is one, is taken
        over."""
        try:
            fd = os.pidfd_open(pid) if own is None else own
        except ProcessLookupError:
            self._tell(workload)
            return
        self._ends[fd] = (workload, pid)
        asyncio.get_running_loop().add_reader(fd, self._ended, fd)

    def close(self) -> None:
        """Stop watching; the watched go on."""
        for fd in [*self._starts, *self._ends]:
            _leave(fd)
        self._starts.clear()
        self._ends.clear()

    def _started(self, pipe: int) -> None:
        _leave(pipe)
        self._tell(self._starts.pop(pipe))

    def _ended(self, fd: int) -> None:
        _leave(fd)
        workload, pid = self._ends.pop(fd)
        with contextlib.suppress(ChildProcessError):  # adopted from an earlier life: init takes leave of it
            os.waitpid(pid, os.WNOHANG)
        self._tell(workload)

    def _tell(self, workload: str) -> None:
        for wake in self._wakes:
            wake(workload)


def _leave(fd: int) -> None:
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)
