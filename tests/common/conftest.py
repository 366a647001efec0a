"""What tests of several of common's rooms share."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SmallDisk = Callable[[int], Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Makes folders on a disk of so many bytes: a tmpfs where one may mount. Elsewhere it is this process that may
    write no longer files than that, to which the kernel answers with the same kind of error."""
    mounted: list[Path] = []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def make(size: int) -> Path:
        folder = tmp_path / f"disk-{len(mounted)}"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0:
            mounted.append(folder)
        else:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        return folder

    yield make
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Child:
    """A Python process that runs a piece of code, says when it has come somewhere, and is killed."""

    def __init__(self, code: str, *arguments: object) -> None:
        argv = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def line(self) -> str:
        """Wait for the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """kill -9, to all that it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """Starts `Child` processes, none of which outlives the test."""
    children: list[Child] = []

    def start(code: str, *arguments: object) -> Child:
        children.append(Child(code, *arguments))
        return children[-1]

    yield start
    for one in children:
        one.kill()
