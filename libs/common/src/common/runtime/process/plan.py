"""From a launch specification to what the supervisor does: command, environment, folders, user and limits.

What is decided here is written into `spec.json` once, and holds for every later launch of the same workload.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.kernel.accelerators import BUILT_IN, Accelerator, device_variables
from common.kernel.errors import Invalid, Problem
from common.ports.runtime import LaunchSpec, Mount
from common.runtime.environment import check_environment
from common.runtime.notice import NAME, VARIABLE
from common.runtime.process.cgroups import GroupPlan
from common.runtime.process.owners import unreachable

Settled = dict[str, Any]

_MOUNT = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\Z")
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_-]*)\}")
_PATH = "/usr/local/bin:/usr/bin:/bin"


class LaunchFailed(Problem):
    """The workload can't be started; `code` is `launch_failed` and `detail` says why."""

    title = "The workload can't be started"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__("launch_failed", detail, **extra)


class Planner:
    """Settles launches for one workload folder. `uid` is the owner's own user, 0 for none; `kinds` are the accelerators
    of which code is told what it may see; `blocked` says what keeps that user from a path, as `unreachable` does."""

    def __init__(
        self,
        spec: LaunchSpec,
        folder: Path,
        volumes: Path,
        uid: int,
        kinds: Sequence[Accelerator] = BUILT_IN,
        blocked: Callable[[Path], Path | None] = unreachable,
    ) -> None:
        self.spec, self.folder, self.volumes, self.uid, self.kinds = spec, folder, volumes, uid, kinds
        self._blocked = blocked
        self.paths: dict[str, Path] = {}

    def check(self) -> None:
        """Refuse what can never be launched, before anything is made. Raises Invalid, LaunchFailed."""
        spec = self.spec
        check_environment(spec.environment)
        if not spec.command or any("\0" in word for word in spec.command):
            raise Invalid("bad_command", "A workload needs a command: a list of words without NUL characters.")
        if spec.image is not None:
            raise LaunchFailed("This runtime runs processes and no container images; give an engine instead.")
        for mount in spec.mounts:
            check_mount(mount)
        if spec.working_mount and spec.working_mount not in {mount.name for mount in spec.mounts}:
            raise Invalid("bad_mount", f"The working folder {spec.working_mount!r} is none of the mounts.")

    def settle(self, port: int | None, groups: GroupPlan, nproc: int, grace: float) -> Settled:
        """Make the folders and decide everything. Raises LaunchFailed where something needed isn't there."""
        self._make_folders()
        environment = self._environment(port)
        cwd = self.paths[self.spec.working_mount] if self.spec.working_mount else self.folder / "home"
        command = [self._fill(word) for word in self.spec.command]
        limits = self.spec.limits
        return {
            "workload": self.spec.workload,
            "owner": self.spec.owner,
            "settled_at": time.time(),
            "command": command,
            "exe": self._executable(command[0], environment["PATH"], cwd),
            "cwd": str(cwd),
            "environment": environment,
            "mounts": {m.name: {"kind": m.kind, "path": str(self.paths[m.name])} for m in self.spec.mounts},
            "uid": self.uid,
            "port": port,
            "nproc": nproc,
            "grace": grace,
            "seconds": limits.seconds,
            "log_bytes": limits.log_bytes,
            "groups": list(groups.groups),
            "settings": list(groups.settings),
            "oom": list(groups.oom),
        }

    def _make_folders(self) -> None:
        for name in ("home", "tmp"):
            self._own(self.folder / name)
        (self.folder / "mounts").mkdir(mode=0o711, exist_ok=True)
        for mount in self.spec.mounts:
            self.paths[mount.name] = self._mount(mount)

    def _mount(self, mount: Mount) -> Path:
        place = self.folder / "mounts" / mount.name
        if mount.kind == "scratch":
            return self._own(place)
        target = self._volume(str(mount.volume)) if mount.kind == "volume" else self._staged(mount)
        if not place.is_symlink():
            place.symlink_to(target)  # for people who look; the workload gets the folder itself
        return target

    def _staged(self, mount: Mount) -> Path:
        source = Path(str(mount.source)).absolute()
        if not source.exists():
            raise LaunchFailed(f"{mount.name} was staged in {source}, which isn't there.")
        self._reach(source, mount.name)
        return source

    def _volume(self, key: str) -> Path:
        path = self.volumes
        for part in key.split("/")[:-1]:
            path /= part
            path.mkdir(mode=0o711, exist_ok=True)
        return self._own(path / key.split("/")[-1])

    def _own(self, path: Path) -> Path:
        """A folder that belongs to the workload's user alone."""
        path.mkdir(mode=0o700, exist_ok=True)
        owner = path.stat(follow_symlinks=False)
        if not stat.S_ISDIR(owner.st_mode):
            raise LaunchFailed(f"{path} is no folder.")
        if self.uid and owner.st_uid not in (0, self.uid):
            raise LaunchFailed(f"{path.relative_to(self.folder.parents[1])} belongs to somebody else's workloads.")
        if self.uid and owner.st_uid == 0:
            os.chown(path, self.uid, self.uid, follow_symlinks=False)
        return path

    def _reach(self, path: Path, what: str) -> None:
        if self.uid and (blocked := self._blocked(path)):
            raise LaunchFailed(f"{what} is in {path}, but other users can't enter {blocked}; allow that (chmod o+x).")

    def _executable(self, word: str, path: str, cwd: Path) -> str:
        found = str(cwd / word) if "/" in word else shutil.which(word, path=path)
        if found is None or not os.access(found, os.X_OK) or Path(found).is_dir():
            raise LaunchFailed(f"There is no program {word!r} to run (searched in {path}).")
        self._reach(Path(found), f"The program {word!r}")
        return found

    def _fill(self, text: str) -> str:
        """Put mounts' paths for `{name}`; other braces stay as they are."""
        return _PLACEHOLDER.sub(lambda m: str(self.paths.get(m[1], m[0])), text)

    def _environment(self, port: int | None) -> dict[str, str]:
        """What the workload sees: ours below, the user's in between, and on top what must be so."""
        spec = self.spec
        given = {name: self._fill(value) for name, value in spec.environment.items()}
        fixed = {mount.variable: str(self.paths[mount.name]) for mount in spec.mounts if mount.variable}
        fixed |= {
            "PATH": _PATH,
            "YARD_WORKLOAD_DIR": str(self.folder),
            "MOUNT_DIR": str(self.folder / "mounts"),
            VARIABLE: str(self.folder / NAME),
        } | device_variables(spec.devices, self.kinds)
        if spec.engine is not None:
            self._reach(spec.engine, "The engine")
            fixed |= {"PATH": f"{spec.engine / 'bin'}:{_PATH}", "VIRTUAL_ENV": str(spec.engine)}
        if port is not None:
            fixed |= {"PORT": str(port), "HOST": "127.0.0.1"}
        return self._base() | given | fixed

    def _base(self) -> dict[str, str]:
        base = {
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
        }
        if self.spec.limits.cpu:
            threads = str(math.ceil(self.spec.limits.cpu))
            base |= {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        return base


def check_mount(mount: Mount) -> None:
    """Refuse a mount whose name or volume could lead elsewhere. Raises Invalid (`bad_mount`)."""
    if not _MOUNT.match(mount.name):
        raise Invalid("bad_mount", f"{mount.name!r} is no mount's name: lower-case letters, digits, '-' and '_'.")
    if mount.kind in ("staged", "shared") and mount.source is None:
        raise Invalid("bad_mount", f"The {mount.kind} mount {mount.name} needs a source.")
    if mount.kind == "volume" and (mount.volume is None or not _KEY.match(mount.volume)):
        raise Invalid("bad_mount", f"The volume mount {mount.name} needs a key such as 'ckpt/job-1'.")


def launch_words(settled: Mapping[str, Any]) -> bytes:
    """The launch file that the supervisor reads: NUL-separated keys and values."""
    pairs: list[tuple[str, str]] = [("exe", settled["exe"]), ("cwd", settled["cwd"])]
    pairs += [("arg", word) for word in settled["command"]]
    pairs += [("env", f"{name}={value}") for name, value in settled["environment"].items()]
    pairs += [(key, str(settled[key])) for key in ("uid", "nproc", "grace", "seconds", "log_bytes")]
    for key, name in (("cgroup", "groups"), ("set", "settings"), ("oom", "oom")):
        pairs += [(key, value) for value in settled[name]]
    writable = [mount["path"] for mount in settled["mounts"].values() if mount["kind"] != "staged"]
    pairs += [("disk", path) for path in [".", *writable]]
    return b"".join(os.fsencode(f"{key}\0{value}\0") for key, value in pairs)
