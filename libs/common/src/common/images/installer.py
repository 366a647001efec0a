"""Running the installer (uv) and reading its progress from what it says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from uv import find_uv_bin

from common.images.requirements import EngineFailed

Report = Callable[[float, str], None]
"""Called with the progress from 0 to 1 and the present step."""

_RESOLVED = re.compile(r"Resolved (\d+) packages?")
_FETCHED = re.compile(r"\s*(?:Downloaded|Built|Prepared \d+ packages?)\b")
LAST_LINES = 12
"""How much of what the installer said is told of a failure."""


class Progress:
    """Turns the installer's lines into a number that only grows."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._packages = 0
        self._fetched = 0
        self._value = 0.0

    def reach(self, value: float, detail: str) -> None:
        """Be at least there."""
        self._value = max(self._value, value)
        self._report(self._value, detail)

    def line(self, text: str) -> None:
        """Take one line of the installer."""
        if match := _RESOLVED.search(text):
            self._packages = int(match[1])
            self.reach(0.15, f"{self._packages} packages found")
        elif text.lstrip().startswith("Prepared"):
            self.reach(0.8, text.strip())
        elif _FETCHED.match(text):
            self._fetched += 1
            self.reach(0.15 + 0.6 * min(1.0, self._fetched / max(1, self._packages)), text.strip())
        elif text.startswith("Installed"):
            self.reach(0.9, text.strip())
        elif text.startswith("Bytecode compiled"):
            self.reach(0.98, text.strip())
        elif text.lstrip().startswith(("Downloading", "Building")):
            self.reach(self._value, text.strip())


@contextlib.asynccontextmanager
async def _running(arguments: Sequence[str], folder: Path, lock: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The installer, in a session of its own. It inherits the build's lock: while it runs on after the platform
    was killed, nobody else builds in the same folder."""
    process = await asyncio.create_subprocess_exec(
        find_uv_bin(),
        *arguments,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(lock,),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def run_uv(arguments: Sequence[str], folder: Path, lock: int, progress: Progress) -> None:
    """Run uv to its end. Raises EngineFailed with its last lines where it fails."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    async with _running(arguments, folder, lock) as process:
        if process.stderr is None:
            raise RuntimeError("the installer's errors are piped")
        async for raw in process.stderr:
            line = raw.decode(errors="replace").rstrip()
            last.append(line)
            progress.line(line)
        code = await process.wait()
    if code != 0:
        raise EngineFailed("\n".join(last) or f"The installer ended with {code}.")
