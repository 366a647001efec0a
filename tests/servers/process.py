"""A server as a process of its own: started, killed, started again, and gone with the run that started it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

START_SECONDS = 180.0
END_SECONDS = 60.0
BURIAL_SECONDS = 180.0
"""Docker's images are some 100,000 files."""

# Reads lines with the process groups that run now. When whoever writes them is dead, it kills those of the last line.
UNDERTAKER = """
while read -r line; do groups=$line; done
for group in $groups; do kill -9 "-$group"; done
test -z "$groups" || sleep 0.5
rm -rf "$0"
"""


class Server(ABC):
    """A server in a temporary folder. As root it runs as `user`; else as whoever runs the tests."""

    name = "server"
    user = "nobody"
    undertaker = UNDERTAKER

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"modelyard-{self.name}-"))
        self.folder.chmod(0o755)
        self.give(self.folder)
        self._children: list[subprocess.Popen[bytes]] = []
        self._undertaker = subprocess.Popen(
            ["/bin/sh", "-c", self.undertaker, str(self.folder)], stdin=subprocess.PIPE, start_new_session=True
        )

    @abstractmethod
    def start(self) -> None:
        """Start it and return when it serves."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it serves, tried as its clients do."""

    def kill(self) -> None:
        """kill -9, to all of it; returns when nothing of it is left."""
        everyone = [psutil.Process(child.pid) for child in self._children if child.poll() is None]
        everyone += [below for one in everyone for below in one.children(recursive=True)]
        for one in everyone:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        for child in self._children:
            child.wait(END_SECONDS)
        deadline = time.monotonic() + END_SECONDS
        while left := [one for one in everyone if _lives(one)]:
            assert time.monotonic() < deadline, f"{self.name} survives a kill -9: {left}"
            time.sleep(0.005)
        self._children.clear()
        self._tell_undertaker()

    def send(self, number: signal.Signals) -> None:
        """Send what was started a signal."""
        for child in self._children:
            child.send_signal(number)

    def restart(self) -> None:
        """Kill it and start it again, on the same ports and data."""
        self.kill()
        self.start()

    def close(self) -> None:
        """End it for good and remove what it wrote."""
        self.kill()
        assert self._undertaker.stdin is not None
        self._undertaker.stdin.close()
        self._undertaker.wait(BURIAL_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def give(self, path: Path) -> None:
        """Make the server the owner of a file."""
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self.user)
            os.chown(path, owner.pw_uid, owner.pw_gid)

    def write(self, name: str, content: str, mode: int = 0o600) -> Path:
        """A file in its folder, for it alone."""
        path = self.folder / name
        path.write_text(content)
        path.chmod(mode)
        self.give(path)
        return path

    def spawn(self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        """Start a child that `kill` ends, with what it starts itself."""
        with (self.folder / "output.log").open("ab") as log:
            child = self._popen(command, environment, log)
        self._children.append(child)
        self._tell_undertaker()

    def run(self, command: Sequence[str | Path]) -> None:
        """Run something to its end, as the server's user."""
        with (self.folder / "output.log").open("ab") as log:
            child = self._popen(command, None, log)
        assert child.wait(START_SECONDS) == 0, f"{command[0]} failed:\n{self.log_end()}"

    def _popen(
        self, command: Sequence[str | Path], environment: Mapping[str, str] | None, log: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        owner = pwd.getpwnam(self.user) if os.geteuid() == 0 else None
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **(environment or {})},
            start_new_session=True,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )

    def _tell_undertaker(self) -> None:
        assert self._undertaker.stdin is not None
        self._undertaker.stdin.write(" ".join(str(child.pid) for child in self._children).encode() + b"\n")
        self._undertaker.stdin.flush()

    def wait_until_it_answers(self) -> None:
        """Return when it serves; fails where it ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            ended = [child for child in self._children if child.poll() is not None]
            assert not ended, f"{self.name} ended with {ended[0].returncode}:\n{self.log_end()}"
            assert time.monotonic() < deadline, f"{self.name} did not start:\n{self.log_end()}"
            time.sleep(0.02)

    def log_end(self) -> str:
        """The end of what it printed."""
        return (self.folder / "output.log").read_text(errors="replace")[-3000:]


def _lives(one: psutil.Process) -> bool:
    """Whether it still runs, rather than waits to be buried by whoever started it."""
    try:
        return bool(one.is_running() and one.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
