"""What can be set for notebook-svc, by environment (`NOTEBOOK_…`)."""

from __future__ import annotations

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """notebook-svc's settings; base environments need none."""

    model_config = SettingsConfigDict(env_prefix="NOTEBOOK_", extra="ignore", use_attribute_docstrings=True)
