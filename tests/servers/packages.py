"""What the tests need from the system is installed by themselves where they may; else they say what is missing."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

POLICY = Path("/usr/sbin/policy-rc.d")
INSTALL = ("apt-get", "install", "--yes", "--quiet=2", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300")


def ensure(package: str, find: Callable[[], Path | None]) -> Path:
    """What `find` finds, after installing the package where it was absent. Fails the test where that can't be done."""
    if (found := find()) is not None:
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.fail(f"{package} is not installed. As root: apt-get install {package}", pytrace=False)
    said = _install(package)
    if (found := find()) is None:
        pytest.fail(f"{package} could not be installed:\n{said}", pytrace=False)
    return found


def _install(package: str) -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    said = ""
    with _no_services_started():
        for command in ([*INSTALL, package], ["apt-get", "update", "--quiet=2"], [*INSTALL, package]):
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            said += done.stdout + done.stderr
            if done.returncode == 0 and package in command:
                break
    return said[-2000:]


@contextmanager
def _no_services_started() -> Iterator[None]:
    """Installing must not start a server that nobody asked for: Debian asks this file. One run of tests at a time."""
    with Path("/var/lock/modelyard-packages").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ours = not POLICY.exists()
        if ours:
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        try:
            yield
        finally:
            if ours:
                POLICY.unlink()
