"""Which Python engines are built from.

As root, owners' workloads run as users of their own, so an interpreter that other users can run is preferred to
the one under the platform, which often lives in root's home.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (3, 11)
_NOBODY = 65534
_SAY_VERSION = "import sys; print(*sys.version_info[:3])"


def base_interpreter() -> Path:
    """The interpreter under this process's virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable))


def interpreters() -> Iterator[Path]:
    """Interpreters of this machine, the platform's own first, each real file once."""
    seen: set[Path] = set()
    names = ["python3", *(f"python3.{minor}" for minor in range(20, OLDEST[1] - 1, -1))]
    places = [Path(folder) / name for folder in ("/usr/bin", "/usr/local/bin") for name in names]
    for path in [base_interpreter(), *places]:
        real = path.resolve()
        if real not in seen and os.access(real, os.X_OK):
            seen.add(real)
            yield path


def version_of(interpreter: Path, *, as_others: bool = False) -> tuple[int, ...] | None:
    """Its version, or None where it can't be run (with `as_others`: by a user without rights)."""
    command = [str(interpreter), "-I", "-S", "-c", _SAY_VERSION]
    try:
        if as_others:
            done = subprocess.run(
                command, user=_NOBODY, group=_NOBODY, extra_groups=[], cwd="/", capture_output=True, check=True
            )
        else:
            done = subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(map(int, done.stdout.split()))


def choose_interpreter() -> Path:
    """The Python for engines: as root the first (3.11 or later) that other users can run, else the platform's own."""
    if os.geteuid() == 0:
        for path in interpreters():
            version = version_of(path, as_others=True)
            if version is not None and version >= OLDEST:
                return path
    return base_interpreter()
