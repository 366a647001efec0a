"""What can be set for serving-svc, by environment (`SERVING_…`)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving_svc.domain.service import Backoff


class Settings(BaseSettings):
    """serving-svc's settings. Times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="SERVING_", extra="ignore", use_attribute_docstrings=True)

    max_replicas: int = Field(default=32, ge=1)
    """How many replicas one service may have."""
    health_path: str = "/health"
    """Where a replica says that it is ready."""
    probe_timeout: float = Field(default=2.0, gt=0)
    """How long a replica may take to say so."""
    probe_starting: float = Field(default=0.2, gt=0)
    """Between two looks while something is starting."""
    probe_running: float = Field(default=1.0, gt=0)
    """Between two looks while all are ready."""
    unready_after: int = Field(default=2, ge=1)
    """Failed probes in a row after which nothing more is sent to a replica."""
    replace_after: int = Field(default=5, ge=1)
    """Failed probes in a row after which a replica that was ready is replaced."""
    start_seconds: float = Field(default=300.0, gt=0)
    """How long a replica may take from its start to being ready."""
    drain_seconds: float = Field(default=0.5, ge=0)
    """Between taking a replica's address away and asking it to stop."""
    stop_seconds: float = Field(default=10.0, ge=0)
    """Between asking it to stop and killing it."""
    retry_first: float = Field(default=1.0, gt=0)
    """The first pause before a replica that died is replaced; it doubles with every death in a row."""
    retry_longest: float = Field(default=300.0, gt=0)
    """The longest such pause."""
    failed_after: int = Field(default=3, ge=1)
    """Deaths in a row, with no replica ready, after which the service counts as failed."""
    steady_seconds: float = Field(default=60.0, ge=0)
    """A replica that was ready for so long died of something new."""
    log_bytes: int = Field(default=8 << 20, ge=0)
    """Bytes that a replica's log may have."""
    kept_replicas: int = Field(default=20, ge=0)
    """Ended replicas of a service that are kept to be looked at, with their logs."""
    test_seconds: float = Field(default=30.0, gt=0)
    """How long an online test may take."""
    test_bytes: int = Field(default=1 << 20, ge=1)
    """Bytes of an answer that an online test shows."""

    @property
    def backoff(self) -> Backoff:
        """How patiently dead replicas are replaced."""
        return Backoff(self.retry_first, self.retry_longest, self.failed_after, self.steady_seconds)
