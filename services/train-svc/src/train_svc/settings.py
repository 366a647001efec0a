"""What can be set for train-svc, by environment (`TRAIN_…`)."""

from __future__ import annotations

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from train_svc.domain.scheduling.values import Policy
from train_svc.domain.specs import DEFAULT_SPECS, Spec


class SpecSetting(BaseModel):
    """What a named resource spec means: accelerators, or as many CPUs where there are none. `memory` in bytes."""

    count: int = Field(default=0, ge=0)
    accelerator: str = "gpu"
    cpu: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    memory: int = Field(default=0, ge=0)
    model: str | None = None
    nodes: int = Field(default=1, ge=1)
    selectors: dict[str, str] = Field(default_factory=dict)


class Settings(BaseSettings):
    """The service's settings."""

    model_config = SettingsConfigDict(env_prefix="TRAIN_", extra="ignore", use_attribute_docstrings=True)

    specs: dict[str, SpecSetting] = Field(default_factory=dict)
    """Named resource specs as JSON, in place of those of the same name among small (1 GPU), medium (2), large (4); for
    one cluster alone by `name@cluster`. What administrators say by the API comes before."""
    time_limit_seconds: float = Field(default=72 * 3600, gt=0)
    """How long an attempt may run unless the job says less (seed 001: 72 hours)."""
    longest_time_limit_seconds: float = Field(default=72 * 3600, gt=0)
    """The most that a job may ask for."""
    stop_grace_seconds: float = Field(default=10.0, ge=0)
    """What a stopped attempt has between SIGTERM and SIGKILL."""
    cpu_overcommit: float = Field(default=4.0, gt=0)
    """How many CPUs may be promised for each core a node has. Replicas and notebooks idle most of the time, and a
    machine of two cores must still run a job beside them; set 1 where every core must be somebody's own."""
    inventory_seconds: float = Field(default=15.0, gt=0)
    """How often nodes and devices are looked at."""
    node_grace_seconds: float = Field(default=300.0, ge=0)
    """How long the inventory may not show a node or a device until it is lost, and what is on it is revoked."""
    node_keep_seconds: float = Field(default=86400.0, ge=0)
    """How long a lost node is remembered where nothing is held on it any more."""
    drain_grace_seconds: float = Field(default=60.0, ge=0)
    """How long what runs on a node that is drained has to end, unless the administrator says otherwise."""
    priority_classes: dict[str, int] = Field(default_factory=lambda: {"low": -100, "normal": 0, "high": 100})
    """The priorities that have names, as JSON. Every hour of waiting is worth a point (see `ageing_seconds`)."""
    ageing_seconds: float = Field(default=3600.0, gt=0)
    """How long a request waits for a point of priority, so that nothing starves."""
    starving_seconds: float = Field(default=86400.0, gt=0)
    """Who has waited this long no longer stands behind those who use only what they are guaranteed."""
    preempt: bool = True
    """Whether work may be told to end for more urgent work."""
    preemption_grace_seconds: float = Field(default=30.0, ge=0)
    """How long what was told to end has to write a checkpoint."""
    min_run_seconds: float = Field(default=60.0, ge=0)
    """How long a job, notebook or replica runs at least before it may be told to end for more urgent work."""
    overdue_seconds: float = Field(default=30.0, ge=0)
    """How long after its grace what was told to end may still take to be gone until that is revoked, and how long after
    that until what is left of it is ended by train-svc itself, whoever's it is."""
    silent_seconds: float = Field(default=900.0, gt=0)
    """After how long without a word of its owner an allocation is looked after; it is taken back only if the runtime
    says that its workload is gone."""
    log_bytes: int = Field(default=256 << 20, ge=0)
    """How long an attempt's log may grow; 0 for no limit."""
    pids: int = Field(default=0, ge=0)
    """How many processes an attempt may have; 0 for no limit."""
    log_read_bytes: int = Field(default=8 << 20, ge=1 << 16)
    """How much of a growing log one answer holds."""
    stream_poll_seconds: float = Field(default=0.3, gt=0)
    """How often a followed log is looked at."""
    stream_heartbeat_seconds: float = Field(default=15.0, gt=0)
    """After how much silence a stream says that it still lives."""
    metric_points: int = Field(default=2500, ge=10)
    """To how many points a curve is thinned unless asked otherwise."""
    metric_series: int = Field(default=200, ge=1)
    """How many metrics an attempt may have; further names are left out."""
    evaluation_bytes: int = Field(default=1 << 20, ge=1024)
    """How large an `evaluation.json` is kept with the job; a larger one is found among the results only."""

    def policy(self) -> Policy:
        """How the scheduler decides."""
        return Policy(
            ageing=self.ageing_seconds,
            starving=self.starving_seconds,
            grace=self.preemption_grace_seconds,
            preempt=self.preempt,
        )

    def named_specs(self) -> dict[str, Spec]:
        """All named specs, as they are everywhere."""
        return {**DEFAULT_SPECS, **self._specs_by_cluster().get("", {})}

    def specs_of_clusters(self) -> dict[str, dict[str, Spec]]:
        """The specs of single clusters, by cluster and name."""
        return {cluster: specs for cluster, specs in self._specs_by_cluster().items() if cluster}

    def _specs_by_cluster(self) -> dict[str, dict[str, Spec]]:
        found: dict[str, dict[str, Spec]] = {}
        for key, setting in self.specs.items():
            name, _, cluster = key.partition("@")
            found.setdefault(cluster, {})[name] = Spec(**setting.model_dump())
        return found
