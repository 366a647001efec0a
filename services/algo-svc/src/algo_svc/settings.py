"""What can be set for algo-svc, by environment (`ALGO_…`)."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """algo-svc's settings."""

    model_config = SettingsConfigDict(env_prefix="ALGO_", extra="ignore", use_attribute_docstrings=True)

    package_bytes: int = Field(default=32 << 20, ge=1)
    """Bytes that an uploaded code package may have."""
    package_entries: int = Field(default=2000, ge=1)
    """Files and folders that a code package may hold."""
    unpacked_bytes: int = Field(default=128 << 20, ge=1)
    """Bytes that the files of a code package may have together."""
    package_ratio: int = Field(default=200, ge=1)
    """How many times larger than the package its files may be: more is a bomb."""
    presets: bool = True
    """Whether the presets are installed at start."""
    more_purposes: tuple[str, ...] = ()
    """Purposes besides the known ones, such as `audio/classification`."""
