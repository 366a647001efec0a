"""Hearing at once that a workload started or ended, without asking again and again.

A supervisor holds a pipe until its child runs; a pidfd becomes readable when the supervisor ends. Both are hints:
what counts is in the workload's folder.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


class Watcher:
    """Watches supervisors in the running event loop."""

    def __init__(self) -> None:
        self._wakes: list[Callable[[str], None]] = []
        self._ends: dict[str, tuple[int, int]] = {}
        self._starts: dict[str, int] = {}

    def on_change(self, wake: Callable[[str], None]) -> None:
        """Call `wake(workload)` after every start and end."""
        self._wakes.append(wake)

    def watches(self, workload: str) -> bool:
        """Whether a supervisor of it is watched, and thus was alive a moment ago."""
        return workload in self._ends

    def watch_start(self, workload: str, pipe: int) -> None:
        """Wake when nobody holds the other end of `pipe` any more; takes the pipe over."""
        if workload in self._starts:
            os.close(pipe)
            return
        self._starts[workload] = pipe
        asyncio.get_running_loop().add_reader(pipe, self._started, workload)

    def watch_end(self, workload: str, pid: int) -> None:
        """Wake when the process ends, and take leave of it if it is ours."""
        if workload in self._ends:
            return
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._tell(workload)
            return
        self._ends[workload] = (fd, pid)
        asyncio.get_running_loop().add_reader(fd, self._ended, workload)

    def close(self) -> None:
        """Stop watching; the watched go on."""
        loop = asyncio.get_running_loop()
        for fd in [*self._starts.values(), *(fd for fd, _ in self._ends.values())]:
            loop.remove_reader(fd)
            os.close(fd)
        self._starts.clear()
        self._ends.clear()

    def _started(self, workload: str) -> None:
        fd = self._starts.pop(workload)
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        self._tell(workload)

    def _ended(self, workload: str) -> None:
        fd, pid = self._ends.pop(workload)
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pid = 0  # adopted from an earlier life of the platform: init takes leave of it
        self._tell(workload)

    def _tell(self, workload: str) -> None:
        for wake in self._wakes:
            wake(workload)
