"""Limits on memory, processes and CPU by control groups, version 1 or 2, where this process may make some.

Which can be enforced is found by doing it once: a group is made, limited, entered by a process, and removed.
A workload's groups lie beneath the platform's own, so a limit on the platform holds for its workloads too.
Source: cgroups(7), the kernel's admin guides `cgroup-v1/memory` and `cgroup-v2`.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from common.ports.runtime import Limits
from common.runtime.process import ending

NAMES = ("memory", "pids", "cpu")
_PERIOD = 100_000


@dataclass(frozen=True)
class Controller:
    """One resource's controller: groups for workloads are made in `base`; `unified` is version 2."""

    name: str
    base: Path
    unified: bool

    def values(self, limits: Limits) -> list[tuple[str, str]]:
        """The files to write, with their values, in this order; empty where there is no such limit."""
        return _VALUES[self.name](self, limits)


@dataclass(frozen=True)
class GroupPlan:
    """The groups of one workload: folders, `path=value` settings, and where the kernel counts its OOM kills."""

    groups: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    oom: tuple[str, ...] = ()


class ControlGroups:
    """What can be limited here, and how a workload's groups are called."""

    def __init__(self, home: Path, controllers: dict[str, Controller]) -> None:
        self.controllers = controllers
        self.prefix = f"yard-{hashlib.sha256(str(home).encode()).hexdigest()[:8]}-"

    def has(self, name: str) -> bool:
        """Whether that resource can be limited."""
        return name in self.controllers

    def plan(self, workload: str, limits: Limits) -> GroupPlan:
        """The groups that hold a workload to its limits."""
        groups: dict[str, None] = {}
        settings: list[str] = []
        oom: list[str] = []
        for controller in self.controllers.values():
            values = controller.values(limits)
            group = controller.base / f"{self.prefix}{workload}"
            if values:
                groups[str(group)] = None
                settings += [f"{group / name}={value}" for name, value in values]
            if values and controller.name == "memory":
                oom.append(str(group / ("memory.events" if controller.unified else "memory.oom_control")))
        return GroupPlan(tuple(groups), tuple(settings), tuple(oom))

    def sweep(self, keep: set[str]) -> None:
        """Kill and remove groups of this home whose workload isn't in `keep`: nothing of them is known any more."""
        for base in {controller.base for controller in self.controllers.values()}:
            for group in base.glob(f"{self.prefix}*"):
                if group.name.removeprefix(self.prefix) not in keep:
                    ending.kill(ending.members([str(group)]))
                    ending.drop_group(str(group))


def _memory(controller: Controller, limits: Limits) -> list[tuple[str, str]]:
    if not limits.memory:
        return []
    value = str(limits.memory)
    if controller.unified:
        return [("memory.max", value), ("memory.swap.max", "0")]
    swap = (controller.base / "memory.memsw.limit_in_bytes").exists()
    return [("memory.limit_in_bytes", value), *([("memory.memsw.limit_in_bytes", value)] if swap else [])]


def _pids(_: Controller, limits: Limits) -> list[tuple[str, str]]:
    return [("pids.max", str(limits.pids))] if limits.pids else []


def _cpu(controller: Controller, limits: Limits) -> list[tuple[str, str]]:
    if not limits.cpu:
        return []
    quota = max(1000, int(limits.cpu * _PERIOD))
    if controller.unified:
        return [("cpu.max", f"{quota} {_PERIOD}")]
    return [("cpu.cfs_period_us", str(_PERIOD)), ("cpu.cfs_quota_us", str(quota))]


_VALUES = {"memory": _memory, "pids": _pids, "cpu": _cpu}


def find_controllers(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> list[Controller]:
    """The controllers in whose hierarchy this process could make groups, from its own place in each."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except FileNotFoundError:
        return []
    found: dict[str, Controller] = {}
    for _, names, place in lines:
        for name in set(names.split(",")) & set(NAMES):
            found[name] = Controller(name, root / name / place.lstrip("/"), unified=False)
        if not names:
            for base in _unified_bases(root, place):
                found.update({c.name: c for c in _enabled(base) if c.name not in found})
    return [found[name] for name in NAMES if name in found]


def _unified_bases(root: Path, place: str) -> list[Path]:
    """Our own group, and its parent where systemd marked that as delegated to us (DelegateSubgroup=)."""
    top = root / "unified" if (root / "unified").is_dir() else root
    own = top / place.lstrip("/")
    bases = [own]
    for mark in ("trusted.delegate", "user.delegate"):
        try:
            if os.getxattr(own.parent, mark) == b"1":
                bases.append(own.parent)
        except OSError:
            continue  # unmarked, or not ours to read
    return bases


def _enabled(base: Path) -> list[Controller]:
    """The controllers that a child group of `base` would have, after trying to enable what is missing."""
    control = base / "cgroup.subtree_control"
    for name in NAMES:
        try:
            control.write_text(f"+{name}")
        except OSError:
            continue  # not there, not ours, or the group holds processes itself
    enabled = control.read_text().split() if control.exists() else []
    return [Controller(name, base, unified=True) for name in NAMES if name in enabled]


def probe(home: Path) -> ControlGroups:
    """What can really be limited here. Takes some milliseconds: call it once, at start."""
    groups = ControlGroups(home, {})
    candidates = find_controllers()
    if candidates:
        command = [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as child:
            usable = {c.name: c for c in candidates if _works(c, f"{groups.prefix}probe-{os.getpid()}", child.pid)}
        _forget(candidates, f"{groups.prefix}probe-{os.getpid()}")
        groups.controllers.update(usable)
    return groups


def _works(controller: Controller, name: str, pid: int) -> bool:
    group = controller.base / name
    limits = Limits(cpu=1, memory=1 << 30, pids=100)
    try:
        group.mkdir(exist_ok=True)
        for file, value in controller.values(limits):
            (group / file).write_text(value)
        (group / "cgroup.procs").write_text(str(pid))
    except OSError:
        return False
    return True


def _forget(controllers: list[Controller], name: str) -> None:
    for group in {controller.base / name for controller in controllers}:
        if group.exists():
            ending.drop_group(str(group))
