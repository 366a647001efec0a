"""One workload's folder: what the platform writes there, and what the workload wrote, which is read with mistrust.

| file | who writes it | in the container |
| --- | --- | --- |
| `spec.json` | platform, once (the first launch wins): what was settled | – |
| `created` | platform, once its container is made | – |
| `end.json` | platform, once: how it ended, as it was first seen | – |
| `in/` | platform: the entry, the supervisor, `launch`, and `stop` once it was asked to end | `/yard/in`, read-only |
| `run/` | the supervisor: `started`, `running`, `exit.json`, `log` | `/yard/run` |
| `mounts/*`, `home/` | the workload | where the contract says |

`run` belongs to the workload's user, who could put links and pipes there: none is followed, nothing large is read,
nothing is written there once the container is made, and only Docker's word that a container ended is believed.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from common.runtime.notice import leave_notice
from common.runtime.process.folder import Folder, check_id

IN = Path("/yard/in")
RUN = Path("/yard/run")
LINKED = ("launch", "stop")
_LARGEST = 1 << 16
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

Record = dict[str, Any]


class Records:
    """The folder of one workload beneath `workloads`. Raises Invalid (`bad_workload`) for an odd id."""

    def __init__(self, workloads: Path, workload: str) -> None:
        self.workload = check_id(workload)
        self.path = workloads / workload
        self.given = self.path / "in"
        self.own = Folder(self.path, "run")
        self._kept = Folder(workloads, workload)

    def spec(self) -> Record | None:
        """What was settled; None where it was never launched, or was removed."""
        return self._kept.read("spec.json")

    def settle(self, settled: Record) -> Record:
        """Keep what was settled, unless an earlier launch did; gives what holds."""
        self.path.mkdir(mode=0o711, exist_ok=True)
        return self._kept.settle(settled)

    def prepare(self, files: dict[str, bytes], uid: int) -> None:
        """Make what the container is given, and the folder in which its supervisor writes."""
        self.given.mkdir(mode=0o755, exist_ok=True)
        for name, content in files.items():
            draft = self.path / f"{name}.{os.getpid()}.tmp"
            draft.write_bytes(content)
            draft.chmod(0o444)
            draft.rename(self.given / name)
        self.own.path.mkdir(mode=0o700, exist_ok=True)
        self.own.prepare(b"")
        for name in LINKED:
            self.own.file(name).unlink(missing_ok=True)
            self.own.file(name).symlink_to(IN / name)
        for path in (self.own.path, *self.own.path.iterdir()):
            give(path, uid)

    def created(self) -> bool:
        """Whether its container was made."""
        return self._kept.has("created")

    def note_created(self) -> None:
        """Its container is made: if it is gone from now on, the workload is lost."""
        self._kept.record("created", 0.0)

    def end(self) -> Record | None:
        """How it ended, where that is settled."""
        return self._kept.read("end.json")

    def note_end(self, end: Record) -> Record:
        """Settle how it ended. What is noted first holds."""
        if (noted := self.end()) is not None:
            return noted
        self._kept.record("end.json", end)
        return end

    def ask_to_stop(self, grace: float, notice: str) -> None:
        """Leave the request where the supervisor finds it, and the notice where the code does; a later request takes
        the place of the first."""
        if self.path.exists():
            if notice:
                leave_notice(self.given, notice, grace)
            draft = self.path / "stop.tmp"
            draft.write_text(str(grace))
            draft.chmod(0o444)
            draft.rename(self.given / "stop")

    def stop_asked(self) -> tuple[float, float] | None:
        """When it was last asked to end (seconds since 1970) and with how many seconds of grace."""
        try:
            return (self.given / "stop").stat().st_mtime, float((self.given / "stop").read_text())
        except FileNotFoundError:
            return None

    def told(self, name: str) -> Record | None:
        """A record of the supervisor's, or None where there is none that could be one."""
        fd = self._open(name)
        if fd is None:
            return None
        try:
            content = json.loads(os.pread(fd, _LARGEST, 0))
        except ValueError:
            return None
        finally:
            os.close(fd)
        return content if isinstance(content, dict) else None

    def log(self) -> int | None:
        """The open log, or None."""
        return self._open("log")

    def _open(self, name: str) -> int | None:
        """A regular file of the workload's own; nothing else, wherever a link may lead."""
        try:
            fd = os.open(self.own.file(name), _READ)
        except OSError:
            return None
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        return None

    def delete(self) -> None:
        """Remove the folder with all that is in it: first its name, so that a half-removed one is none."""
        hidden = self.path.with_name(f".removed-{self.workload}")
        if self.path.exists():
            shutil.rmtree(hidden, ignore_errors=True)
            self.path.rename(hidden)
        sweep(hidden)


def give(path: Path, uid: int) -> None:
    """Make a workload's user the owner of a file; who isn't root runs workloads as itself."""
    if os.geteuid() == 0:
        os.chown(path, uid, uid, follow_symlinks=False)


def sweep(path: Path) -> None:
    """Delete a folder, whatever permissions the workload left in it (links are not followed)."""
    if not path.exists():
        return
    for folder, names, _ in os.walk(path):
        for name in names:
            if not (inner := Path(folder, name)).is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(path)
