"""What can be set for train-svc, by environment (`TRAIN_…`)."""

from __future__ import annotations

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from train_svc.domain.specs import DEFAULT_SPECS, Spec


class SpecSetting(BaseModel):
    """What a named resource spec means: accelerators, or as many CPUs where there are none. `memory` in bytes."""

    count: int = Field(ge=1)
    accelerator: str = "gpu"
    cpu: float = Field(default=1.0, gt=0)
    memory: int = Field(default=0, ge=0)


class Settings(BaseSettings):
    """The service's settings."""

    model_config = SettingsConfigDict(env_prefix="TRAIN_", extra="ignore", use_attribute_docstrings=True)

    specs: dict[str, SpecSetting] = Field(default_factory=dict)
    """Named resource specs as JSON, replacing those of the same name among small (1 GPU), medium (2), large (4)."""
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

    def named_specs(self) -> dict[str, Spec]:
        """All named specs."""
        return {**DEFAULT_SPECS, **{name: Spec(**spec.model_dump()) for name, spec in self.specs.items()}}
