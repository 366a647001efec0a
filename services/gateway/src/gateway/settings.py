"""What can be set for the gateway, by environment (`GATEWAY_…`)."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The gateway's settings."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", extra="ignore", use_attribute_docstrings=True)

    admin_password: SecretStr | None = None
    """The first administrator's password; a random one is made and written to `admin-password` unless set."""
    login_hours: float = Field(default=12.0, gt=0)
    """How long a login is good for."""
    verified_seconds: float = Field(default=30.0, ge=0)
    """How long a verified credential is believed without looking again; revoking counts at once, at other instances
    within a second (and within this time where the database can't be asked)."""
    failed_logins: int = Field(default=10, ge=1)
    """How many logins may fail for one name from one address within the window, at each instance."""
    failed_logins_address: int = Field(default=100, ge=1)
    """How many logins may fail from one address within the window, whatever the names, at each instance."""
    failed_login_window: float = Field(default=300.0, gt=0)
    """The window of failed logins, in seconds."""
    password_memory: int = Field(default=19_456, ge=64)
    """Memory that hashing one password takes, in KiB (OWASP's minimum for argon2id)."""
    password_rounds: int = Field(default=2, ge=1)
    """Rounds of hashing one password."""
    keys_per_user: int = Field(default=100, ge=1)
    """How many active API keys one user may have."""
    connect_seconds: float = Field(default=2.0, gt=0)
    """How long connecting to a replica may take before another one is tried."""
    answer_seconds: float = Field(default=600.0, gt=0)
    """How long a replica may think before the first byte of its answer."""
    avoid_seconds: float = Field(default=1.0, ge=0)
    """How long a replica that refused a connection is the last choice."""
    part_seconds: float = Field(default=5.0, gt=0)
    """How long an aggregated view waits for each of its parts."""
    stream_buffer: int = Field(default=512, ge=1)
    """How many events wait for a slow client of the live stream before it is dropped."""
    stream_ping_seconds: float = Field(default=15.0, gt=0)
    """How often a quiet live stream says that it is alive."""
