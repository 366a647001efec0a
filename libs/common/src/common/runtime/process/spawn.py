"""Starting a supervisor: the shortest way from this process, however large, to a small one that outlives it."""

from __future__ import annotations

import hashlib
import os
import py_compile
import signal
import sys
from pathlib import Path

_FILES = ("supervisor.py", "ending.py", "forker.py")
_BLOCKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def base_interpreter() -> Path:
    """The interpreter under this process's virtual environment."""
    return Path(getattr(sys, "_base_executable", sys.executable))


def install(home: Path) -> Path:
    """Compile the supervisor into a folder named by its content, and give the file to run.

    Compiling takes longer than starting it, and a running supervisor must not meet the code of a later version.
    """
    sources = [Path(__file__).with_name(name) for name in _FILES]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources) + sys.version.encode()).hexdigest()[:16]
    folder = home / f"supervisor-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    for source in sources:
        target = folder / f"{source.stem}.pyc"
        if not target.exists():
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(str(source), str(target), dfile=source.name, doraise=True, invalidation_mode=mode)
    return folder / "supervisor.pyc"


def spawn_supervisor(program: Path, folder: Path) -> tuple[int, int]:
    """Start the supervisor of a prepared folder: gives its pid, and a pipe that closes once its child runs.

    It gets a session of its own, an empty environment and no descriptor of ours; signals wait until it listens.
    Raises OSError where no process can be made.
    """
    heard, held = os.pipe()
    stderr = str(folder / "supervisor.log")
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, held, 1),
        (os.POSIX_SPAWN_OPEN, 2, stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    ]
    python = str(base_interpreter())
    argv = [python, "-I", "-S", "-E", str(program), str(folder)]
    try:
        pid = os.posix_spawn(
            python, argv, {"LANG": "C.UTF-8"}, file_actions=actions, setsid=True, setsigmask=_BLOCKED,
            setsigdef=(signal.SIGPIPE,),
        )  # fmt: skip
    except OSError:
        os.close(heard)
        raise
    finally:
        os.close(held)
    return pid, heard
