"""What can be set for the embedded platform, by environment (`YARD_…`)."""

from __future__ import annotations

from pydantic import Field

from common.hosting.settings import MachineSettings


class Settings(MachineSettings):
    """The embedded platform's own settings: those of the machine. Each service has its own beside them."""

    port: int = Field(default=8765, ge=0, le=65535)
    """The port to listen on; 0 takes a free one."""
