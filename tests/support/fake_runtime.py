"""A runtime in memory that does what a test tells it, and remembers what was asked of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from common.kernel.errors import Conflict, NotFound, Problem, Unavailable
from common.ports.runtime import (
    Handle,
    LaunchSpec,
    Observation,
    Output,
    RuntimeCapabilities,
    WorkloadState,
)

_OVER = (WorkloadState.EXITED, WorkloadState.LOST)


@dataclass
class Running:
    """One workload: what it was launched with, how it stands, what it has written."""

    spec: LaunchSpec
    seen: Observation
    log: bytes = b""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    stops: list[float] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


class FakeRuntime:
    """The port `Runtime`. `started` names every process ever started, in order; a workload named twice is a defect."""

    def __init__(self) -> None:
        self.capabilities = RuntimeCapabilities(gangs=True)
        self.workloads: dict[str, Running] = {}
        self.started: list[str] = []
        self.refusing: Problem | None = None
        self.unseen = False
        self.obeys_stop = True
        self._wake: list[Callable[[str], None]] = []

    # what tests do

    def by_subject(self, *, nth: int = -1) -> Running:
        """The workload launched last (or the nth)."""
        return self.workloads[self.started[nth]]

    def says(self, workload: str, log: bytes = b"", metrics: bytes = b"", **results: bytes) -> None:
        """Let it write: log, metrics, and files of its results."""
        one = self.workloads[workload]
        one.log += log
        if metrics:
            files = one.files.setdefault("metrics", {})
            files["metrics.jsonl"] = files.get("metrics.jsonl", b"") + metrics
        one.files.setdefault("results", {}).update(results)

    def ends(self, workload: str, exit_code: int | None = 0, cause: str = "exit", detail: str = "") -> None:
        """Let it end."""
        one = self.workloads[workload]
        state = WorkloadState.LOST if cause == "lost" else WorkloadState.EXITED
        one.seen = replace(
            one.seen,
            state=state,
            exit_code=exit_code,
            cause=None if cause == "lost" else cause,  # type: ignore[arg-type]
            detail=detail,
            ended_at=datetime.now(UTC),
            address=None,
        )
        self._tell(workload)

    def forget_listeners(self) -> None:
        """The platform that listened is dead."""
        self._wake.clear()

    def _tell(self, workload: str) -> None:
        for wake in self._wake:
            wake(workload)

    # the port

    async def launch(self, spec: LaunchSpec) -> Handle:
        if self.refusing is not None:
            raise self.refusing
        if spec.workload not in self.workloads:
            address = "http://127.0.0.1:9" if spec.port else None
            seen = Observation(WorkloadState.RUNNING, started_at=datetime.now(UTC), address=address)
            scratch: dict[str, dict[str, bytes]] = {m.name: {} for m in spec.mounts if m.kind == "scratch"}
            self.workloads[spec.workload] = Running(spec, seen, files=scratch)
            self.started.append(spec.workload)
            self._tell(spec.workload)
        return {"runtime": "fake", "workload": spec.workload}

    async def meeting(self, workload: str) -> str:
        return "127.0.0.1:29500"

    async def observe(self, handle: Handle) -> Observation:
        if self.unseen:
            return Observation(WorkloadState.UNKNOWN, detail="the test says so")
        one = self.workloads.get(handle["workload"])
        return one.seen if one else Observation(WorkloadState.GONE)

    async def stop(self, handle: Handle, grace: float = 10.0, notice: str = "") -> None:
        one = self.workloads.get(handle["workload"])
        if one is None or one.seen.state in _OVER:
            return
        one.stops.append(grace)
        one.notices.append(notice)
        if self.obeys_stop or grace == 0:
            self.ends(handle["workload"], 143, "stopped")

    async def logs(self, handle: Handle, offset: int = 0) -> AsyncIterator[bytes]:
        one = self.workloads.get(handle["workload"])
        if one and one.log[offset:]:
            yield one.log[offset:]

    async def outputs(self, handle: Handle, mount: str) -> Sequence[Output]:
        files = self._files(handle, mount)
        return [Output(path, len(content)) for path, content in sorted(files.items())]

    async def read_output(self, handle: Handle, mount: str, path: str, offset: int = 0) -> AsyncIterator[bytes]:
        files = self._files(handle, mount)
        if path not in files:
            raise NotFound("output_not_found", f"There is no {path}.")
        if files[path][offset:]:
            yield files[path][offset:]

    def _files(self, handle: Handle, mount: str) -> dict[str, bytes]:
        one = self.workloads.get(handle["workload"])
        if one is None or mount not in one.files:
            raise NotFound("mount_not_found", f"There is no mount {mount}.")
        return one.files[mount]

    async def remove(self, handle: Handle) -> None:
        one = self.workloads.get(handle["workload"])
        if one is not None and one.seen.state not in _OVER:
            raise Conflict("workload_running", "It runs.")
        self.workloads.pop(handle["workload"], None)

    async def handles(self) -> Sequence[Handle]:
        return [{"workload": workload} for workload in self.workloads]

    def on_change(self, wake: Callable[[str], None]) -> None:
        self._wake.append(wake)

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return


def unavailable() -> Unavailable:
    """What a runtime that is down for a while answers."""
    return Unavailable("runtime_unavailable", "The runtime is away for a while.")
