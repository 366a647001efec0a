"""Asking the forker (`forker.py`) for supervisors, for as long as there is one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import structlog

from common.runtime.process.spawn import base_interpreter

PATIENCE_SECONDS = 5.0
"""How long an answer is waited for."""
_ROOM = 64

log = structlog.get_logger("runtime")


@dataclass(frozen=True)
class Born:
    """A supervisor: its pid, its pidfd where that is known, and the pipe that closes once its workload runs."""

    pid: int
    own: int | None
    pipe: int


class Forker:
    """One process that forks supervisors; it is started when first asked for, and again after it died."""

    def __init__(self, program: Path | None) -> None:
        self._program = program.with_name("forker.pyc") if program is not None else None
        self._socket: socket.socket | None = None
        self._pid = 0
        self._ready = False
        self._asked: deque[asyncio.Future[tuple[int, int]]] = deque()

    async def fork(self, folder: Path) -> Born | None:
        """A supervisor for a prepared folder; None where there is no forker now, or it is not heard of any more: then
        one has to be started without it."""
        if self._socket is None:
            self._start()
        if self._socket is None or not self._ready:
            return None
        heard, held = os.pipe()
        asked: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(self._socket, [os.fsencode(folder)], [held])
            self._asked.append(asked)
            async with asyncio.timeout(PATIENCE_SECONDS):
                pid, own = await asked
        except OSError as error:  # a time-out is one as well
            os.close(heard)
            log.warning("the forker does not fork", reason=repr(error))
            return None
        except asyncio.CancelledError:
            os.close(heard)
            raise
        finally:
            os.close(held)
        return Born(pid, own, heard)

    def _start(self) -> None:
        """Begin to have one; the first supervisors need not wait until it is ready."""
        if self._program is None:
            return
        if self._pid:
            _see_off(self._pid, os.WNOHANG)
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        python = str(base_interpreter())
        argv = [python, "-I", "-S", "-E", str(self._program)]
        actions = [(os.POSIX_SPAWN_DUP2, its.fileno(), 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
        try:
            self._pid = os.posix_spawn(
                python, argv, {"LANG": "C.UTF-8"}, file_actions=actions, setsid=True, setsigdef=(signal.SIGPIPE,)
            )
        except OSError as error:
            log.warning("no forker can be started", reason=error.strerror)
            mine.close()
            return
        finally:
            its.close()
        mine.setblocking(False)
        self._socket = mine
        asyncio.get_running_loop().add_reader(mine, self._hear, mine)

    def _hear(self, mine: socket.socket) -> None:
        try:
            said, fds, _, _ = socket.recv_fds(mine, _ROOM, 1)
        except BlockingIOError:
            return
        except OSError:
            said, fds = b"", []
        if not said:
            self._end()
        elif not fds:
            self._ready = True
        else:
            asked = self._asked.popleft()
            if asked.done():
                os.close(fds[0])  # who asked has gone on without it
            else:
                asked.set_result((int(said), fds[0]))

    def _end(self) -> None:
        """There is none any more. Whoever waits for an answer is told."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
        self._socket, self._ready = None, False
        while self._asked:
            if not (asked := self._asked.popleft()).done():
                asked.set_exception(ConnectionResetError("the forker has ended"))

    async def close(self) -> None:
        """Let it end, which it does once nobody can ask it; supervisors go on."""
        pid, self._pid = self._pid, 0
        self._end()
        self._program = None
        if pid:
            await asyncio.to_thread(_see_off, pid)


def _see_off(pid: int, how: int = 0) -> None:
    try:
        os.waitpid(pid, how)
    except ChildProcessError:
        return
