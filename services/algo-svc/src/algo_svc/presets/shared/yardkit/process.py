"""How a training process ends: done (0), refused with a reason (2), out of disk (1), or stopped (143).

A person reads the log, and the platform reads the exit code: neither is helped by a traceback when the
cause is the data, a parameter or a full disk.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from types import FrameType

REFUSED = 2
BROKEN_IO = 1
STOPPED = 128 + signal.SIGTERM


class Refused(Exception):
    """The work can't be done with what was given; the message says what, where, and what to do."""


class Stopped(Exception):
    """The platform asked the process to end, and its state is safe in a checkpoint."""


class Stop:
    """Whether SIGTERM came.

    Outside `deferred` a signal ends the process at once, since nothing is lost by it (every file is replaced
    in one step). Inside, it only sets `requested`, and the training loop writes a checkpoint first.
    """

    def __init__(self) -> None:
        self.requested = False
        self._deferred = False

    def listen(self) -> None:
        """Take over SIGTERM."""
        signal.signal(signal.SIGTERM, self._on_signal)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """While inside, leave it to the caller to look at `requested` between two short steps."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if not self._deferred:
            os.write(1, b"stopped before the work began\n")
            os._exit(STOPPED)


def say(text: str) -> None:
    """One line into the job's log, visible at once."""
    print(text, flush=True)


def run(main: Callable[[Stop], None]) -> None:
    """Run a program's `main` and leave the process with the exit code that tells how it ended."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a file's name may be no valid text: that must not end the job
            stream.reconfigure(errors="backslashreplace")
    stop = Stop()
    stop.listen()
    try:
        main(stop)
    except Refused as reason:
        _leave(f"error: {reason}", REFUSED)
    except Stopped as reason:
        _leave(f"stopped: {reason}", STOPPED)
    except OSError as reason:
        place = f" ({reason.filename})" if reason.filename else ""
        _leave(f"error: a file can't be read or written{place}: {reason.strerror or reason}", BROKEN_IO)


def _leave(message: str, code: int) -> None:
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)
    sys.exit(code)
