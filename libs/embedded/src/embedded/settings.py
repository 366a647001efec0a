"""What can be set for the embedded platform, by environment (`YARD_…`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The embedded platform's own settings; each service has its own beside them."""

    model_config = SettingsConfigDict(env_prefix="YARD_", extra="ignore")

    home: Path = Path(".yard")
    """The state folder: databases, files, workloads, keys."""
    host: str = "127.0.0.1"
    """The address to listen on. Anything but loopback opens the platform to the network."""
    port: int = Field(default=8765, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
    engine_cache: Path | None = None
    """Where built engines are kept, to share them between state folders; in the state folder unless set."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: Literal["json", "text"] = "json"
    """One JSON object a line, or text for people."""
    simulated_gpus: int = Field(default=0, ge=0, le=64)
    """Simulated GPUs to declare, for trying things out; they are marked as simulated wherever they show."""
    staging_cache_bytes: int = Field(default=20 << 30, ge=0)
    """How much the cache of staged folders may hold when nothing uses it."""

    @property
    def engines(self) -> Path:
        """Where built engines are kept."""
        return (self.engine_cache or self.home / "engines").absolute()
