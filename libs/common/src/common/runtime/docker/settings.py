"""What an operator can set for the `docker:` runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from common.kernel.accelerators import BUILT_IN, Accelerator


@dataclass(frozen=True)
class DockerSettings:
    """How containers are made and reached on one Docker engine."""

    base_image: str = "python:3.11-slim"
    """For workloads that bring neither an image nor an engine."""
    roots: tuple[Path, ...] = ()
    """Folders beneath which staged folders may lie, besides the runtime's own: nothing else is ever mounted."""
    host_paths: Mapping[Path, Path] = field(default_factory=dict)
    """Where the platform runs in a container itself: a folder here → the same folder on Docker's machine."""
    pool: str = "10.213.0.0/16"
    """From which each owner's network gets its addresses, 62 at a time (CIDR)."""
    internet: bool = False
    """Whether workloads may reach what lies outside this machine."""
    reached_by: Literal["host", "gateway"] = "host"
    """Who speaks to replicas and notebooks: this machine itself, whose own servers are then guarded by a packet
    filter; or containers with `gateway_label`, which join every owner's network, where this machine has no address."""
    gateway_label: str = "modelyard.role=gateway"
    """What a container carries that is to reach every owner's replicas and notebooks."""
    accelerators: tuple[str, ...] | None = None
    """Kinds whose devices are real (`gpu`, `npu`) and handed through; found out from Docker's own runtimes unless set.
    Devices of other kinds are only told in the environment."""
    kinds: tuple[Accelerator, ...] = BUILT_IN
    """The accelerators there may be, of which code is told what it may see."""
    most_pids: int = 4096
    """Processes and threads of a workload that has no limit of its own."""
    temporary_bytes: int = 1 << 30
    """The size of /tmp, which is memory; a workload with a memory limit has at most half of that."""
    grace: float = 10.0
    """Seconds between the end of a time limit and the kill."""
