"""From a launch specification to what is settled: image, command, environment, folders and where they appear.

Inside the container the workload contract's own paths hold (design §4): `/code`, `/dataset`, `/pretrained`, `/model`
(`/cache/output` is the same folder) … What is decided here is kept in `spec.json` and holds for every later launch.
"""

from __future__ import annotations

import math
import os
import re
import stat
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from common.kernel.accelerators import BUILT_IN, Accelerator, counted_inside, device_variables
from common.kernel.errors import Invalid
from common.ports.runtime import LaunchSpec, Mount
from common.runtime.docker.records import IN, give
from common.runtime.docker.settings import DockerSettings
from common.runtime.environment import check_environment
from common.runtime.notice import NAME, VARIABLE
from common.runtime.process.plan import LaunchFailed, check_mount

Settled = dict[str, Any]

PORT = 8080
HOME = "/home/yard"
CONTRACT = {
    "code": "/code",
    "dataset": "/dataset",
    "pretrained": "/pretrained",
    "model": "/model",
    "results": "/model",
    "ckpt": "/ckpt",
    "metrics": "/metrics",
}
"""Where the mounts of the workload contract appear."""
ELSEWHERE = "/mnt"
"""Beneath which the others do (`MOUNT_DIR`)."""
ALSO = {"results": "/cache/output"}
"""A second name for the same folder."""
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_-]*)\}")


def place(name: str) -> str:
    """Where a mount of that name appears in the container."""
    return CONTRACT.get(name, f"{ELSEWHERE}/{name}")


def check(spec: LaunchSpec) -> None:
    """Refuse what can never be launched, before anything is made. Raises Invalid."""
    check_environment(spec.environment)
    if not spec.command or any("\0" in word for word in spec.command):
        raise Invalid("bad_command", "A workload needs a command: a list of words without NUL characters.")
    for mount in spec.mounts:
        check_mount(mount)
    places = [place(mount.name) for mount in spec.mounts]
    if len(set(places)) < len(places):
        raise Invalid("bad_mount", f"Two mounts would appear at the same place: {', '.join(sorted(places))}.")
    if spec.working_mount and spec.working_mount not in {mount.name for mount in spec.mounts}:
        raise Invalid("bad_mount", f"The working folder {spec.working_mount!r} is none of the mounts.")


def settle(
    spec: LaunchSpec,
    image: Mapping[str, Any],
    mounts: Mapping[str, Path],
    uid: int,
    network: str,
    kinds: Sequence[Accelerator] = BUILT_IN,
    real: Collection[str] = (),
) -> Settled:
    """Everything that its container follows from. `image` is what Docker knows of the image, `mounts` the folders, and
    `kinds` the accelerators of which code is told what it may see; of the `real` ones a container has no others."""
    limits = spec.limits
    fill = _filler({mount.name: place(mount.name) for mount in spec.mounts})
    return {
        "workload": spec.workload,
        "owner": spec.owner,
        "settled_at": time.time(),
        "image": image["Id"],
        "command": [fill(word) for word in spec.command],
        "cwd": place(spec.working_mount) if spec.working_mount else HOME,
        "environment": _environment(spec, image, fill, device_variables(counted_inside(spec.devices, real), kinds)),
        "mounts": {
            m.name: {"kind": m.kind, "path": str(mounts[m.name]), "at": place(m.name), "also": ALSO.get(m.name)}
            for m in spec.mounts
        },
        "devices": list(spec.devices),
        "uid": uid,
        "network": network,
        "port": PORT if spec.port else None,
        "cpu": limits.cpu,
        "memory": limits.memory,
        "pids": limits.pids,
        "seconds": limits.seconds,
        "log_bytes": limits.log_bytes,
    }


def _filler(paths: Mapping[str, str]) -> Any:
    """Puts mounts' paths for `{name}`; other braces stay as they are."""
    return lambda text: _PLACEHOLDER.sub(lambda m: paths.get(m[1], m[0]), text)


def _environment(spec: LaunchSpec, image: Mapping[str, Any], fill: Any, devices: dict[str, str]) -> dict[str, str]:
    """What the workload sees: the image's and ours below, the user's in between, and on top what must be so."""
    base = image_environment(image) | {
        "HOME": HOME,
        "TMPDIR": "/tmp",  # noqa: S108 - the container's own
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
    if spec.limits.cpu:
        threads = str(math.ceil(spec.limits.cpu))
        base |= {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    given = {name: fill(value) for name, value in spec.environment.items()}
    fixed = {mount.variable: place(mount.name) for mount in spec.mounts if mount.variable}
    fixed |= {"PATH": base["PATH"], "YARD_WORKLOAD_DIR": HOME, "MOUNT_DIR": ELSEWHERE}
    fixed |= {VARIABLE: str(IN / NAME)} | devices
    if spec.port:
        fixed |= {"PORT": str(PORT), "HOST": "0.0.0.0"}  # noqa: S104 - in a network of its owner's own
    return base | given | fixed


def image_environment(image: Mapping[str, Any]) -> dict[str, str]:
    """The variables that an image brings, and a PATH where it brings none."""
    told = image.get("Config", {}).get("Env") or []
    return {"PATH": DEFAULT_PATH} | dict(pair.split("=", 1) for pair in told)


def launch_words(settled: Mapping[str, Any], oom: str, grace: float) -> bytes:
    """The launch file that the supervisor reads (see `process.supervisor`): NUL-separated keys and values."""
    pairs = [("exe", settled["command"][0]), ("cwd", settled["cwd"])]
    pairs += [("arg", word) for word in settled["command"]]
    pairs += [("env", f"{name}={value}") for name, value in settled["environment"].items()]
    pairs += [(key, str(settled[key])) for key in ("seconds", "log_bytes")]
    pairs += [("grace", str(grace)), ("oom", oom)] if settled["memory"] else [("grace", str(grace))]
    writable = [mount["at"] for mount in settled["mounts"].values() if mount["kind"] != "staged"]
    pairs += [("disk", path) for path in [".", *writable]]
    return b"".join(os.fsencode(f"{key}\0{value}\0") for key, value in pairs)


class Folders:
    """Makes a workload's folders beneath the runtime's own, and finds those that were staged."""

    def __init__(self, workload: Path, volumes: Path, home: Path, settings: DockerSettings) -> None:
        self._workload, self._volumes = workload, volumes
        self._roots = [root.resolve() for root in (home, *settings.roots)]

    def make(self, mounts: tuple[Mount, ...], uid: int) -> dict[str, Path]:
        """Where each mount's folder is. Raises LaunchFailed where one isn't there, or lies where nothing is mounted."""
        (self._workload / "mounts").mkdir(mode=0o711, parents=True, exist_ok=True)
        _own(self._workload / "home", uid)
        return {mount.name: self._folder(mount, uid) for mount in mounts}

    def _folder(self, mount: Mount, uid: int) -> Path:
        if mount.kind == "scratch":
            return _own(self._workload / "mounts" / mount.name, uid)
        return self._volume(PurePosixPath(str(mount.volume)), uid) if mount.kind == "volume" else self._staged(mount)

    def _staged(self, mount: Mount) -> Path:
        source = Path(str(mount.source))
        if not source.exists():
            raise LaunchFailed(f"{mount.name} was staged in {source}, which isn't there.")
        real = source.resolve()
        if not any(real.is_relative_to(root) for root in self._roots):
            raise LaunchFailed(
                f"{mount.name} is in {real}, which lies beneath none of the folders that may be mounted."
            )
        return real

    def _volume(self, key: PurePosixPath, uid: int) -> Path:
        path = self._volumes
        for part in key.parts[:-1]:
            path /= part
            path.mkdir(mode=0o711, exist_ok=True)
        return _own(path / key.name, uid)


def _own(path: Path, uid: int) -> Path:
    """A folder that belongs to the workload's user alone."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.stat(follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid(), uid):
        raise LaunchFailed(f"{path} belongs to another user than its owner's.")
    give(path, uid)
    return path
