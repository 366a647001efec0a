"""What a workload is to do: a plan that is made once, when it is accepted, and kept as it is."""

from __future__ import annotations

from pydantic import Field

from common.contracts.shared import EngineRef, ManifestRef, Resources, Shape
from common.ports.staging import Split, StageRequest


class HoldPlan(Shape):
    """What to hold, at which service: `PUT {path}/{workload}` takes it, `DELETE` releases it."""

    service: str
    path: str


class StagePlan(Shape):
    """A read-only folder: `name` as in the workload contract, `variable` the environment variable of its path. With
    `stream` the workload begins while its shards still arrive."""

    name: str
    variable: str
    manifest: ManifestRef
    split: Split | None = None
    test: ManifestRef | None = None
    validation: ManifestRef | None = None
    stream: bool = False

    @property
    def request(self) -> StageRequest:
        """As staging is asked for it."""
        return StageRequest(self.manifest, self.split, self.test, self.validation, self.stream)


class FolderPlan(Shape):
    """A writable folder: its own and read afterwards, or with `volume` kept under that key beyond the workload."""

    name: str
    variable: str
    volume: str | None = None


class MountPlan(Shape):
    """An external source as it is, at `MOUNT_DIR/<name>` (row D11): the folder `path` of the shared file system `root`,
    or without a root a copy of what lies below `path` in the source when the workload is prepared."""

    name: str
    source_id: str
    path: str = ""
    root: str | None = None
    read_only: bool = True


class Plan(Shape):
    """Everything needed to run a workload once capacity is granted. `memory_limit` in bytes, `seconds` running time."""

    resources: Resources = Resources()
    holds: tuple[HoldPlan, ...] = ()
    stages: tuple[StagePlan, ...] = ()
    folders: tuple[FolderPlan, ...] = ()
    mounts: tuple[MountPlan, ...] = ()
    engine: EngineRef | None = None
    image: str | None = None
    command: tuple[str, ...]
    environment: dict[str, str] = Field(default_factory=dict)
    working_mount: str | None = None
    seconds: float = 0
    pids: int = 0
    log_bytes: int = 0
    port: bool = False
