"""What notebook-svc's routes work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from common.kernel.accelerators import Accelerator
from common.service import Kit
from notebook_svc.settings import Settings


@dataclass(frozen=True)
class Context:
    """The service's share of the platform, and its settings."""

    kit: Kit
    settings: Settings

    @property
    def kinds(self) -> tuple[Accelerator, ...]:
        """The kinds of accelerators that this platform may have."""
        return self.kit.platform.accelerators


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]
