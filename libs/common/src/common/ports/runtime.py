"""The runtime: what starts, watches and ends workloads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

Handle = dict[str, Any]
"""Where a workload is: JSON, kept in the database, enough to find it again after a restart.

`{"workload": id}` alone is a good handle too: a launch may be killed before its handle was written down."""


@dataclass(frozen=True)
class Mount:
    """A folder of the workload contract: `name` is code, dataset, pretrained, model, results, ckpt …

    `staged`: read-only, from `source`. `shared`: from `source` too, but writable, and not the platform's. `scratch`:
    writable and its own, an output that can be read with `Runtime.outputs`. `volume`: writable, kept under `volume` (a
    key such as `ckpt/job-…`) beyond the workload.
    `variable` is the environment variable that gets its path.
    """

    name: str
    kind: Literal["staged", "shared", "scratch", "volume"]
    variable: str
    source: Path | None = None
    volume: str | None = None


@dataclass(frozen=True)
class Limits:
    """What a workload may use; 0 means no limit. `memory` in bytes, `seconds` of running time."""

    cpu: float = 0
    memory: int = 0
    pids: int = 0
    seconds: float = 0
    log_bytes: int = 0


@dataclass(frozen=True)
class LaunchSpec:
    """All that is needed to start a workload. `workload` is its id: launching it twice is launching it once.

    `command` is an argv list; `{name}` in it or in an environment value stands for the path of that mount.
    `engine` is the folder of a built engine, whose Python is first on PATH; `image` a container image.
    `port`: the runtime chooses a free port, passes it as PORT and tells the address in observations.
    """

    workload: str
    owner: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    working_mount: str | None = None
    engine: Path | None = None
    image: str | None = None
    devices: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    port: bool = False


class WorkloadState(StrEnum):
    """What a runtime sees of a workload. `lost`: its supervisor died without a word; nothing of it runs any more.
    `gone`: the runtime knows nothing of it (never launched, or removed). `unknown`: it can't be seen at present."""

    STARTING = "starting"
    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Usage:
    """What a workload used: CPU in seconds, peak memory in bytes."""

    cpu_seconds: float = 0.0
    peak_memory: int = 0


@dataclass(frozen=True)
class Observation:
    """How a workload stands. `cause` says why it ended where the runtime ended it or saw the kernel do so."""

    state: WorkloadState
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    cause: Literal["exit", "stopped", "time_limit", "out_of_memory", "storage_full", "launch_failed"] | None = None
    detail: str = ""
    address: str | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Output:
    """One file that a workload left in a scratch mount. `size` in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class RuntimeCapabilities:
    """What an adapter can enforce or do. What is missing is said, not promised."""

    memory_limit: bool = False
    pids_limit: bool = False
    cpu_limit: bool = False
    own_uid: bool = False
    network_isolation: bool = False
    read_only_mounts: bool = False
    commit: bool = False
    exec: bool = False
    images: bool = False
    gangs: bool = False


class Runtime(Protocol):
    """Starts, watches and ends workloads. Launch and stop are idempotent and return at once.

    A launch that can't be done raises Problem (`launch_failed`) with the reason; a workload that outlives the
    platform is found again by its handle. Losing sight of a workload (`unknown`) is not losing it.
    """

    capabilities: RuntimeCapabilities

    async def launch(self, spec: LaunchSpec) -> Handle:
        """Start it; give its handle. Launching the same workload again gives the same handle and starts nothing."""
        ...

    async def meeting(self, workload: str) -> str:
        """Where the members of a gang can find the first of them, which is called `workload`: host:port.

        Only where it is capable of `gangs`; drawn before the first launch, and again it may be another port.
        """
        ...

    async def observe(self, handle: Handle) -> Observation:
        """How it stands now."""
        ...

    async def stop(self, handle: Handle, grace: float = 10.0, notice: str = "") -> None:
        """Ask it to end (SIGTERM), and kill what is left of it after `grace` seconds.

        With a `notice` it is told twice: first the file that its variable `YARD_PREEMPT_FILE` names appears, with the
        notice as its `reason` and the `deadline` until which it may write a checkpoint; then the signal comes.
        """
        ...

    def logs(self, handle: Handle, offset: int = 0) -> AsyncIterator[bytes]:
        """What it has written so far from byte `offset` on, in chunks; ends at the present end."""
        ...

    async def outputs(self, handle: Handle, mount: str) -> Sequence[Output]:
        """The regular files in one of its scratch mounts (links are not followed)."""
        ...

    def read_output(self, handle: Handle, mount: str, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes of one such file from `offset` on. Raises NotFound (`output_not_found`)."""
        ...

    async def remove(self, handle: Handle) -> None:
        """Forget an ended workload and free its folder; volumes stay. A running one raises Conflict."""
        ...

    async def handles(self) -> Sequence[Handle]:
        """Every workload that the runtime knows, for finding what nobody owns any more."""
        ...

    def on_change(self, wake: Callable[[str], None]) -> None:
        """Call `wake(workload id)` soon after a workload started or ended; a hint, never the only source."""
        ...

    async def start(self) -> None:
        """Find again what is running and watch it."""
        ...

    async def close(self) -> None:
        """Stop watching; workloads go on."""
        ...
